-- name: fill
-- Orders of the benchmark, each with a status already, so that every call updates one; and
-- statuses up to fifty.
insert into order_requests (id, client_id) select n + 10000, 1 from generate_series(10001, 15000) n;
insert into orders (id, order_request_id, client_id)
select n, n + 10000, 1 from generate_series(10001, 15000) n;
insert into statuses (name, url, color)
select 'Status ' || n, 'status-' || n, 'EC451F' from generate_series(6, 50) n;

create function bench_create(an_order bigint, a_request bigint, text, text) returns bigint
language plpgsql as $$
declare
    made order_stages;
begin
    insert into order_stages (
        order_id, order_request_id, stage, stage_start_at, created_at_fm,
        created_by_id, created_by, notes
    ) values (
        an_order, a_request, 'scheduled', clock_timestamp(), clock_timestamp(), 1, 'Ada Fields', $3
    ) returning * into made;
    insert into order_statuses as s (
        order_request_id, order_id, order_stage_id, stage, stage_start_at, client_id,
        client_billing_postal_code, appt_id, appt_start_at, order_notes,
        updated_by_id, updated_by, updated_at
    ) values (
        a_request, an_order, made.id, made.stage, made.stage_start_at, 1,
        '02134', 1, '10:00', $4, 1, 'Ada Fields', clock_timestamp()
    )
    on conflict (order_request_id) do update set
        order_stage_id = excluded.order_stage_id, stage = excluded.stage,
        stage_start_at = excluded.stage_start_at, client_id = excluded.client_id,
        client_billing_postal_code = excluded.client_billing_postal_code,
        appt_id = coalesce(excluded.appt_id, s.appt_id),
        appt_start_at = coalesce(excluded.appt_start_at, s.appt_start_at),
        order_notes = coalesce(excluded.order_notes, s.order_notes),
        updated_by_id = excluded.updated_by_id, updated_by = excluded.updated_by,
        updated_at = excluded.updated_at;
    return made.id;
end $$;

-- name: sessions
-- A session of the demo's employee for each of these tokens.
insert into sessions (user_id, application_id, token_hash)
select 1, a.id, digest from applications a, unnest($2::bytea[]) digest where a.slug = $1;

-- name: busy
-- Statements under way: a load tool that leaves does not end what it asked for.
select count(*) as busy from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
    and backend_type = 'client backend';

-- name: reset
-- The same rows at the start of each run.
truncate order_statuses, order_stages restart identity;
insert into order_stages (order_id, order_request_id, stage, stage_start_at, created_at_fm)
select id, order_request_id, 'ordered', now(), now() from orders where id > 10000;
insert into order_statuses (
    order_request_id, order_id, order_stage_id, stage, stage_start_at, updated_at
)
select order_request_id, order_id, id, stage, stage_start_at, now() from order_stages;

-- name: written
-- Stages that calls have added since the reset.
select count(*) - 5000 as written from order_stages;
