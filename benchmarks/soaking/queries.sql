-- name: activity
-- Connections of clients, and the size of the database in MiB.
select
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
    pg_database_size(current_database()) / 1024 / 1024 as size;

-- name: tables
-- The rows and the size of each table that has any row, with its indexes; `analyze` estimates them.
select
    n.nspname || '.' || c.relname as name,
    c.reltuples::bigint as rows,
    round(pg_total_relation_size(c.oid) / 1048576.0, 1) as mib
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname in ('gateway', 'public') and c.reltuples > 0
order by pg_total_relation_size(c.oid) desc, name;

-- name: notifications
-- The notifications of the run.
select kind, sum(count)::bigint as count from gateway.notifications group by kind order by kind;
