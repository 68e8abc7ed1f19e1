-- What `growth.py` runs besides the statements of the gateway and its services.

-- name: earlier_find
-- The answers under keys, as before there was a table an hour.
select i.key, i.fingerprint, i.answer, i.mail_path, o.sent_at,
       coalesce(o.awaited_until > clock_timestamp(), false) as awaited
from gateway.idempotency i left join gateway.outbox o on o.id = i.mail
where i.key = any ($1) and i.created_at > now() - interval '24 hours';

-- name: earlier_store
-- Store answers, as before there was a table an hour.
insert into gateway.idempotency (key, fingerprint, answer, mail, mail_path)
select * from unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[], $5::text[])
on conflict (key) do update
set fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now(),
    mail = excluded.mail, mail_path = excluded.mail_path;

-- name: earlier_sweep
-- Delete expired answers, as before there was a table an hour.
delete from gateway.idempotency where created_at < now() - interval '24 hours';

-- name: orders
-- Orders 1 to 5,000, each with the client that the demo has.
with requests as (
    insert into order_requests (id, client_id)
    select g, c.id from generate_series(1, 5000) g
    cross join (select id from gateway.clients order by id limit 1) c
    returning id
)
insert into orders (id, order_request_id) select id, id from requests;

-- name: person
-- A user who is a client too.
with person as (
    insert into gateway.users (email, first_name, last_name) values ('a@example.com', 'A', 'B')
    returning id
)
insert into gateway.clients (user_id, name) select id, 'A B' from person;

-- name: stages
-- As many stages.
insert into order_stages (order_id, order_request_id, stage, stage_start_at, created_at_fm, notes)
select g % 5000 + 1, g % 5000 + 1, 'scheduled', now(), now(), repeat('n', 20)
from generate_series(1, $1::integer) g;

-- name: sizes
-- Bytes of the tables that match a pattern: heap with its overflow, and indexes.
select coalesce(sum(pg_table_size(oid)), 0)::bigint as heap,
       coalesce(sum(pg_indexes_size(oid)), 0)::bigint as indexes
from pg_class where relkind = 'r' and relname ~ $1;

-- name: dead
-- Dead rows of a table.
select n_dead_tup from pg_stat_get_dead_tuples($1::text::regclass) as n_dead_tup;

-- name: wal
-- Where the write-ahead log is.
select pg_current_wal_insert_lsn();

-- name: wal_since
-- Bytes of the write-ahead log since a place.
select (pg_current_wal_insert_lsn() - $1::pg_lsn)::bigint;
