-- What each revision changed: the audit, the way back, and all that a worker reads to follow.

create table gateway.changes (
    revision  bigint not null references gateway.revisions,
    kind      text not null check (kind in ('service', 'route')),
    name      text not null,
    namespace text not null,
    before    jsonb,
    after     jsonb,
    primary key (revision, kind, name)
);
comment on table gateway.changes is
    'A record before and after a revision, null where there is none. A route''s record holds, as '
    'params, the hash of its schema in hex; schemas are kept for as long as history names them.';

alter table gateway.revisions
    add column source text not null default '',
    add column reverts_to bigint;
alter table gateway.revisions drop column changes;
comment on column gateway.revisions.source is 'The file or folder that was applied.';
comment on column gateway.revisions.reverts_to is 'Of a rollback, the revision whose state it is.';

-- The workers that serve, so that an apply can wait until all of them follow.
create table gateway.workers (
    id         uuid primary key,
    name       text not null,
    started_at timestamptz not null default now(),
    seen_at    timestamptz not null default now(),
    revision   bigint not null,
    trouble    text
);
comment on table gateway.workers is
    'One row a worker: which revision it serves, and when it last said so.';
