-- The history of one record, which its pages show, must not read the whole history.
create index changes_by_record on gateway.changes (kind, name, revision desc);
