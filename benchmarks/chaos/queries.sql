-- name: backends
-- The processes of the gateway's connections.
select pid from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
order by pid;

-- name: terminate
-- End connections by their processes.
select pg_terminate_backend(pid) from unnest($1::integer[]) as pid;

-- name: terminate_all
-- End every other connection, so that the new ones have the settings of the database.
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid();

-- name: limit_statements
-- Let the server cancel each statement of a new connection after a short time.
alter database gateway set statement_timeout = '300ms';

-- name: unlimit_statements
-- Undo `limit_statements`.
alter database gateway reset statement_timeout;

-- name: stages
-- The ids of the stages, by their notes.
select notes, array_agg(id order by id) as ids from order_stages where notes is not null group by notes;

-- name: statuses
-- The statuses, with the columns that calls change.
select id, name, color from statuses;

-- name: sessions
-- The sessions that have not ended.
select id from gateway.sessions where revoked_at is null;

-- name: revisions
-- The revisions of the registry.
select id from gateway.revisions;

-- name: mails
-- The messages, each with the stage that it is about.
select id, about_id, state from gateway.outbox where kind = 'mail';

-- name: torn
-- The order requests whose status does not show their newest stage.
select order_request_id as id from (
    select order_request_id, max(id) as newest from order_stages group by 1
) s full join order_statuses t using (order_request_id)
where s.newest is distinct from t.order_stage_id;

-- name: outstanding
-- The messages that are not sent; `is_claimed` while an attempt is in progress or its sender died.
select id, state, claimed_at is not null and next_at > now() as is_claimed,
       coalesce(awaited_until > now(), false) as is_awaited
from gateway.outbox where state in ('waiting', 'parked');

-- name: end_leases
-- Make every message due that is not sent, also those whose sender died within its lease.
update gateway.outbox set state = 'waiting', next_at = now(), awaited_until = now()
where state in ('waiting', 'parked');

-- name: newest_revision
-- The newest revision of the registry.
select coalesce(max(id), 0) from gateway.revisions;
