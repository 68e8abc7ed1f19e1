-- name: prepare
-- Create the table of applied migrations.
create schema if not exists gateway;
create table if not exists gateway.migrations (
    name       text primary key,
    checksum   text not null,
    applied_at timestamptz not null default now()
);

-- name: lock_timeout
-- Set how long a statement waits for any lock, such as `60s`, until its transaction ends.
select set_config('lock_timeout', $1, true);

-- name: lock
-- Let one process migrate at a time, until its transaction ends; a pooler could keep a session's.
select pg_advisory_xact_lock(hashtext('gateway.migrations'));

-- name: lock_holder
-- The server process that holds this lock, and its name.
select a.pid, a.application_name
from pg_locks as l
join pg_stat_activity as a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and a.datname = current_database()
    and ((l.classid::bigint << 32) | l.objid::bigint) = hashtext('gateway.migrations');

-- name: applied
-- The applied migrations, in order.
select name, checksum from gateway.migrations order by applied_at, name;

-- name: is_applied
-- Whether a file is applied.
select exists (select from gateway.migrations where name = $1);

-- name: search_path
-- Set the schema of unqualified names in a migration, until its transaction ends.
set local search_path to public, gateway;

-- name: record
-- Record one file as applied.
insert into gateway.migrations (name, checksum) values ($1, $2);
