-- A worker that is silent may have died, or be cut off and go on serving what it has. The first loses
-- its connection to the server; the second may say that it takes no calls without the database.
alter table gateway.workers
    add column leaves boolean not null default false,
    add column backend integer;
comment on column gateway.workers.backend is
    'The server process of its direct connection; null if a pooler is in between.';
comment on column gateway.workers.leaves is
    'Whether it takes no calls while it does not reach the database.';
