-- A revision is its number and a random id. After a restore, or a fail-over to a replica that lost
-- the last commits, a number may be used a second time; the pair never is.

alter table gateway.revisions add column uid uuid not null default gen_random_uuid();
comment on column gateway.revisions.uid is
    'A random id: two revisions with one number are of two histories of the database.';

-- Null for a worker of an earlier version, which is compared by the number alone.
alter table gateway.workers add column revision_uid uuid;
comment on column gateway.workers.revision_uid is 'The random id of the revision that it serves.';
