-- The registry: what is served. Written by `gateway apply` alone, read by every worker.

create table gateway.revisions (
    id         bigint primary key,
    namespace  text not null,
    applied_at timestamptz not null default now(),
    applied_by text not null,
    message    text not null default '',
    changes    jsonb not null
);
comment on table gateway.revisions is
    'One row for each apply that changed something; numbers rise by one, in the order of commits.';

create table gateway.services (
    name      text primary key,
    namespace text not null,
    record    jsonb not null,
    revision  bigint not null references gateway.revisions
);

-- A schema is stored once, however many routes share it.
create table gateway.schemas (
    hash bytea primary key,
    text text not null
);

create table gateway.routes (
    name      text primary key,
    namespace text not null,
    record    jsonb not null,
    params    bytea not null references gateway.schemas,
    revision  bigint not null references gateway.revisions
);
