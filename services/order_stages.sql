-- name: create
-- Check what the call names; if all is well insert the stage, set the order's status, and queue the
-- mail that the event has for the order's client unless the client was told already.
-- The order request's row is locked before a stage takes its id, so that of two calls for one
-- order the one with the higher id is the later one to write the status. The clock is read after
-- the lock, so that times follow the ids.
with given as (
    select * from jsonb_to_record($1::jsonb) as g (
        valid boolean, caller_id bigint, ticket jsonb,
        order_id bigint, order_request_id bigint, update_status boolean,
        stage text, stage_trigger text,
        stage_start_at timestamptz, created_at_fm timestamptz, notified_at timestamptz,
        created_by_id bigint, created_by text, updated_by_id bigint, updated_by text,
        notes text, event_slug text,
        client_id bigint, client_billing_postal_code text,
        appt_id bigint, appt_confirmed text, appt_duration_time text,
        appt_start_at text, appt_stop_at text, appt_cancel_reason text, appt_cancel_note text,
        order_notes text, delivery_rush boolean, due_date text, external_id text,
        service_type text, services_addon_array jsonb,
        order_cancel_reason text, order_cancel_note text
    )
),
target as (
    select r.id as order_request_id, o.id as order_id, coalesce(o.client_id, r.client_id) as client_id
    from given g
    join order_requests r on r.id = coalesce(
        g.order_request_id, (select order_request_id from orders where id = g.order_id)
    )
    left join orders o on o.order_request_id = r.id
    where g.order_id is null or g.order_id = o.id
    for no key update of r
),
checks as (
    select
        g.order_id is null
            or exists (select from orders where id = g.order_id) as order_id,
        g.order_request_id is null
            or exists (select from order_requests where id = g.order_request_id) as order_request_id,
        not exists (select from orders where id = g.order_id)
            or not exists (select from order_requests where id = g.order_request_id)
            or exists (select from target) as same_order,
        g.created_by_id is null
            or exists (select from users where id = g.created_by_id) as created_by_id,
        g.updated_by_id is null
            or exists (select from users where id = g.updated_by_id) as updated_by_id,
        g.client_id is null
            or exists (select from clients where id = g.client_id) as client_id
    from given g
),
people as (
    -- A name that is given wins, then the user that is named, then the calling user.
    select
        coalesce(g.created_by, c.first_name || ' ' || c.last_name) as created_by,
        coalesce(g.updated_by, u.first_name || ' ' || u.last_name) as updated_by,
        case when g.created_by is null then c.id else g.created_by_id end as created_by_id,
        case when g.updated_by is null then u.id else g.updated_by_id end as updated_by_id
    from given g
    left join users c on c.id = coalesce(g.created_by_id, g.caller_id)
    left join users u on u.id = coalesce(g.updated_by_id, g.caller_id)
),
stage as (
    insert into order_stages (
        order_id, order_request_id, stage, stage_trigger, stage_start_at, created_at_fm,
        created_by_id, created_by, notes, event_slug, notified_at
    )
    select
        t.order_id, t.order_request_id, g.stage, g.stage_trigger,
        coalesce(g.stage_start_at, clock_timestamp()), coalesce(g.created_at_fm, clock_timestamp()),
        p.created_by_id, p.created_by, g.notes, g.event_slug, g.notified_at
    from target t, given g, people p, checks c
    where g.valid and c.order_id and c.order_request_id and c.same_order
        and c.created_by_id and c.updated_by_id and c.client_id
    returning order_stages as whole
),
status as (
    insert into order_statuses as s (
        order_request_id, order_id, order_stage_id, stage, stage_trigger, stage_start_at,
        client_id, client_billing_postal_code,
        appt_id, appt_confirmed, appt_duration_time, appt_start_at, appt_stop_at,
        appt_cancel_reason, appt_cancel_note,
        order_notes, delivery_rush, due_date, external_id, service_type, services_addon_array,
        order_cancel_reason, order_cancel_note, updated_by_id, updated_by, updated_at
    )
    select
        t.order_request_id, t.order_id, (stage.whole).id, g.stage, g.stage_trigger,
        (stage.whole).stage_start_at,
        coalesce(g.client_id, t.client_id),
        coalesce(g.client_billing_postal_code, client.billing_postal_code),
        g.appt_id, g.appt_confirmed, g.appt_duration_time, g.appt_start_at, g.appt_stop_at,
        g.appt_cancel_reason, g.appt_cancel_note,
        g.order_notes, g.delivery_rush, g.due_date, g.external_id, g.service_type,
        g.services_addon_array,
        g.order_cancel_reason, g.order_cancel_note, p.updated_by_id, p.updated_by, clock_timestamp()
    from stage, target t, given g, people p
    left join clients client on client.id = coalesce(
        (select client_id from given), (select client_id from target)
    )
    where g.update_status
    on conflict (order_request_id) do update set
        order_id = coalesce(excluded.order_id, s.order_id),
        order_stage_id = excluded.order_stage_id,
        stage = excluded.stage,
        stage_trigger = excluded.stage_trigger,
        stage_start_at = excluded.stage_start_at,
        client_id = excluded.client_id,
        client_billing_postal_code = excluded.client_billing_postal_code,
        appt_id = coalesce(excluded.appt_id, s.appt_id),
        appt_confirmed = coalesce(excluded.appt_confirmed, s.appt_confirmed),
        appt_duration_time = coalesce(excluded.appt_duration_time, s.appt_duration_time),
        appt_start_at = coalesce(excluded.appt_start_at, s.appt_start_at),
        appt_stop_at = coalesce(excluded.appt_stop_at, s.appt_stop_at),
        appt_cancel_reason = coalesce(excluded.appt_cancel_reason, s.appt_cancel_reason),
        appt_cancel_note = coalesce(excluded.appt_cancel_note, s.appt_cancel_note),
        order_notes = coalesce(excluded.order_notes, s.order_notes),
        delivery_rush = coalesce(excluded.delivery_rush, s.delivery_rush),
        due_date = coalesce(excluded.due_date, s.due_date),
        external_id = coalesce(excluded.external_id, s.external_id),
        service_type = coalesce(excluded.service_type, s.service_type),
        services_addon_array = coalesce(excluded.services_addon_array, s.services_addon_array),
        order_cancel_reason = coalesce(excluded.order_cancel_reason, s.order_cancel_reason),
        order_cancel_note = coalesce(excluded.order_cancel_note, s.order_cancel_note),
        updated_by_id = excluded.updated_by_id,
        updated_by = excluded.updated_by,
        updated_at = excluded.updated_at
    returning s as whole
),
mail as (
    select gateway.queue_mail(
        g.ticket, event.mail_template, reader.email, client.name,
        jsonb_build_object(
            'order_id', t.order_id, 'order_request_id', t.order_request_id,
            'stage', g.stage, 'stage_start_at', (stage.whole).stage_start_at,
            'client_name', client.name
        ),
        'order_stages', (stage.whole).id
    ) as id
    from stage, target t, given g
    join events event on event.slug = g.event_slug and event.mail_template is not null
    left join clients client on client.id = (select client_id from target)
    left join users reader on reader.id = client.user_id
    where g.notified_at is null
)
select checks.*, stage.whole as order_stage, status.whole as order_status, mail.id as mail
from checks left join stage on true left join status on true left join mail on true;
