-- name: fill
-- Orders of the benchmark, and enough statuses for a list of fifty.
insert into order_requests (id, client_id) select n + 10000, 1 from generate_series(10001, 15000) n;
insert into orders (id, order_request_id, client_id)
select n, n + 10000, 1 from generate_series(10001, 15000) n;
insert into statuses (name, url, color)
select 'Status ' || n, 'status-' || n, 'EC451F' from generate_series(6, 50) n;

create function bench_create(p_order bigint, p_request bigint, text, text) returns bigint
language plpgsql as $$
declare
    new_stage order_stages;
begin
    insert into order_stages (
        order_id, order_request_id, stage, stage_start_at, created_at_fm,
        created_by_id, created_by, notes
    ) values (
        p_order, p_request, 'scheduled', clock_timestamp(), clock_timestamp(), 1, 'Ada Fields', $3
    ) returning * into new_stage;
    insert into order_statuses as s (
        order_request_id, order_id, order_stage_id, stage, stage_start_at, client_id,
        client_billing_postal_code, appt_id, appt_start_at, order_notes,
        updated_by_id, updated_by, updated_at
    ) values (
        p_request, p_order, new_stage.id, new_stage.stage, new_stage.stage_start_at, 1,
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
    return new_stage.id;
end $$;

-- name: sessions
-- Create a session of the demo's employee for each digest of a token.
insert into gateway.sessions (user_id, application_id, token_hash)
select 1, a.id, digest from gateway.applications a, unnest($2::bytea[]) digest where a.slug = $1;

-- name: busy
-- Count running statements: a load tool that exits does not cancel its own.
select count(*) as busy from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
    and backend_type = 'client backend';

-- name: reset
-- Restore the rows with which each run starts; every order has a status, so every call updates one.
truncate order_statuses, order_stages restart identity;
insert into order_stages (order_id, order_request_id, stage, stage_start_at, created_at_fm)
select id, order_request_id, 'ordered', now(), now() from orders where id > 10000;
insert into order_statuses (
    order_request_id, order_id, order_stage_id, stage, stage_start_at, updated_at
)
select order_request_id, order_id, id, stage, stage_start_at, now() from order_stages;

-- name: written
-- Count the stages that calls have added since the reset.
select count(*) - 5000 as written from order_stages;
