-- name: create
-- Check the ids in each call. For the valid calls insert the stage, set the order's status, and
-- queue the event's mail to the order's client, unless the client was already notified.
-- Order requests are locked before a stage gets its id: of two calls for one order, the one with the
-- higher id writes the status last. They are locked by ascending id, so that two batches cannot
-- deadlock. The clock is read after the lock, so that times follow the ids. A call whose order is
-- locked, or has an earlier call in the batch, is run alone later ($2); only then does it wait.
with calls as materialized (
    select * from jsonb_to_recordset($1::jsonb) as g (
        i bigint, valid boolean, caller_id bigint, ticket jsonb, mail_template text,
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
referenced as (
    -- The rows that a call refers to, null where a row does not exist. Each limit makes the planner
    -- use an index: for a batch of unknown size it would otherwise scan tables of thousands of rows.
    -- Params are left to the inserts: each step from here to there would copy forty columns.
    -- A person's name comes from the params, otherwise from the user whose id is in the params,
    -- otherwise from the calling user.
    select
        g.i, g.valid, r.id as request, coalesce(o.id, named.id) as known_order,
        coalesce(o.client_id, named.client_id, r.client_id) as its_client,
        coalesce(g.created_by, creator.name) as creator_name,
        coalesce(g.updated_by, updater.name) as updater_name,
        case when g.created_by is null then creator.id else g.created_by_id end as stage_by_id,
        case when g.updated_by is null then updater.id else g.updated_by_id end as status_by_id,
        g.order_id is null or named.id is not null as has_order,
        g.order_request_id is null or r.id is not null as has_order_request,
        named.id is null or r.id is null or named.order_request_id = r.id as has_same_order,
        g.created_by_id is null or creator.id is not null as has_creator,
        g.updated_by_id is null or updater.id is not null as has_updater,
        g.client_id is null or exists (select from gateway.clients where id = g.client_id) as has_client
    from calls g
    left join lateral (
        select id, order_request_id, client_id from orders where id = g.order_id limit 1
    ) named on true
    left join lateral (
        select id, client_id from order_requests
        where id = coalesce(g.order_request_id, named.order_request_id) limit 1
    ) r on true
    left join lateral (
        select id, client_id from orders where order_request_id = r.id and named.id is null limit 1
    ) o on true
    left join lateral (
        select id, first_name || ' ' || last_name as name from gateway.users
        where id = coalesce(g.created_by_id, g.caller_id) limit 1
    ) creator on true
    left join lateral (
        select id, first_name || ' ' || last_name as name from gateway.users
        where id = coalesce(g.updated_by_id, g.caller_id) limit 1
    ) updater on true
),
checked as materialized (
    select *,
        valid and has_order and has_order_request and has_same_order
            and has_creator and has_updater and has_client as passes
    from referenced
),
free as materialized (
    select r.id from order_requests r
    where not $2 and r.id = any (array (select request from checked))
    order by r.id
    for no key update skip locked
),
awaited as materialized (
    select r.id from order_requests r
    where $2 and r.id = any (array (select request from checked))
    for no key update
),
passed as (
    select i, request, known_order, its_client, creator_name, updater_name, stage_by_id, status_by_id,
        request not in (select id from free union all select id from awaited)
            or row_number() over (partition by request order by i) > 1 as goes_alone
    from checked
    where passes
),
fresh as materialized (
    -- Sorted before it is numbered.
    select *, nextval('order_stages_id_seq'::regclass) as stage_id, clock_timestamp() as at
    from (select * from passed where not goes_alone order by i) as sorted
),
stage as (
    insert into order_stages (
        id, order_id, order_request_id, stage, stage_trigger, stage_start_at, created_at_fm,
        created_by_id, created_by, notes, event_slug, notified_at
    )
    select
        f.stage_id, f.known_order, f.request, g.stage, g.stage_trigger,
        coalesce(g.stage_start_at, f.at), coalesce(g.created_at_fm, f.at),
        f.stage_by_id, f.creator_name, g.notes, g.event_slug, g.notified_at
    from fresh f join calls g using (i)
    returning id, row_to_json(shown(order_stages))::text as shown
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
        f.request, f.known_order, f.stage_id, g.stage, g.stage_trigger,
        coalesce(g.stage_start_at, f.at),
        coalesce(g.client_id, f.its_client),
        coalesce(g.client_billing_postal_code, client.billing_postal_code),
        g.appt_id, g.appt_confirmed, g.appt_duration_time, g.appt_start_at, g.appt_stop_at,
        g.appt_cancel_reason, g.appt_cancel_note,
        g.order_notes, g.delivery_rush, g.due_date, g.external_id, g.service_type,
        g.services_addon_array,
        g.order_cancel_reason, g.order_cancel_note, f.status_by_id, f.updater_name, f.at
    from fresh f join calls g using (i)
    left join lateral (
        select billing_postal_code from gateway.clients
        where id = coalesce(g.client_id, f.its_client) limit 1
    ) client on true
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
    returning order_request_id, row_to_json(shown(s))::text as shown,
        s.services_addon_array is not null as has_addons
),
mail as (
    select f.i, gateway.queue_mail(
        g.ticket, g.mail_template, reader.email, client.name,
        jsonb_build_object(
            'order_id', f.known_order, 'order_request_id', f.request,
            'stage', g.stage, 'stage_start_at', coalesce(g.stage_start_at, f.at),
            'client_name', client.name
        ),
        'order_stages', f.stage_id
    ) as id
    from fresh f join calls g using (i)
    left join lateral (
        select name, user_id from gateway.clients where id = f.its_client limit 1
    ) client on true
    left join lateral (select email from gateway.users where id = client.user_id limit 1) reader on true
    where g.mail_template is not null and g.notified_at is null
)
select
    l.has_order, l.has_order_request, l.has_same_order,
    l.has_creator, l.has_updater, l.has_client,
    f.i is null as goes_alone,
    '{"order_stage":' || stage.shown
        || ',"order_status":' || coalesce(status.shown, 'null') || '}' as data,
    coalesce(status.has_addons, false) as has_addons,
    mail.id as mail
from checked l
left join fresh f using (i)
left join stage on stage.id = f.stage_id
left join status on status.order_request_id = f.request
left join mail using (i)
order by i;

-- name: history
-- A page of an order's stages as answers contain them, newest first; the number of all, if $6 is
-- true; and the checks of the order's ids.
select
    f.*, page.results,
    case when $6::boolean then (
        select count(*) from order_stages where order_request_id = f.request
    ) end as count
from find_order($1, $2, $3) f
cross join lateral (
    select '[' || coalesce(string_agg(one.shown, ',' order by one.id desc), '') || ']' as results
    from (
        select s.id, row_to_json(shown(s))::text as shown
        from order_stages s
        where s.order_request_id = f.request
        order by s.id desc
        limit $4 offset $5
    ) one
) page;
