-- name: prepare
-- Create the table of applied migrations.
create schema if not exists gateway;
create table if not exists gateway.migrations (
    name       text primary key,
    checksum   text not null,
    applied_at timestamptz not null default now()
);

-- name: lock
-- Let one process migrate at a time; a session lock, since each file is its own transaction.
select pg_advisory_lock(hashtext('gateway.migrations'));

-- name: unlock
-- Release the lock.
select pg_advisory_unlock(hashtext('gateway.migrations'));

-- name: applied
-- The applied migrations, in order.
select name, checksum from gateway.migrations order by applied_at, name;

-- name: search_path
-- Set the schema of unqualified names in a migration, until its transaction ends.
set local search_path to public, gateway;

-- name: record
-- Record one file as applied.
insert into gateway.migrations (name, checksum) values ($1, $2);

-- name: max_connections
-- How many connections the server accepts, without those reserved for superusers.
select current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int;
