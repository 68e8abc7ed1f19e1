-- Stages and statuses of orders as they are answered: times in UTC, always with six digits of a
-- second. Events and the known stages are settings of the service order_stages.

drop table known_stages;
drop table events;

create function iso_8601(moment timestamptz) returns text language sql stable
return to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"');

create type shown_order_stage as (
    id               bigint,
    order_id         bigint,
    order_request_id bigint,
    stage            text,
    stage_trigger    text,
    stage_start_at   text,
    created_at_fm    text,
    created_by_id    bigint,
    created_by       text,
    notes            text,
    event_slug       text,
    notified_at      text
);

create function shown(s order_stages) returns shown_order_stage language sql stable
return (
    s.id, s.order_id, s.order_request_id, s.stage, s.stage_trigger,
    iso_8601(s.stage_start_at), iso_8601(s.created_at_fm),
    s.created_by_id, s.created_by, s.notes, s.event_slug, iso_8601(s.notified_at)
)::shown_order_stage;

create type shown_order_status as (
    order_request_id           bigint,
    order_id                   bigint,
    order_stage_id             bigint,
    stage                      text,
    stage_trigger              text,
    stage_start_at             text,
    client_id                  bigint,
    client_billing_postal_code text,
    appt_id                    bigint,
    appt_confirmed             text,
    appt_duration_time         text,
    appt_start_at              text,
    appt_stop_at               text,
    appt_cancel_reason         text,
    appt_cancel_note           text,
    order_notes                text,
    delivery_rush              boolean,
    due_date                   text,
    external_id                text,
    service_type               text,
    services_addon_array       jsonb,
    order_cancel_reason        text,
    order_cancel_note          text,
    updated_by_id              bigint,
    updated_by                 text,
    updated_at                 text
);

create function shown(s order_statuses) returns shown_order_status language sql stable
return (
    s.order_request_id, s.order_id, s.order_stage_id, s.stage, s.stage_trigger,
    iso_8601(s.stage_start_at),
    s.client_id, s.client_billing_postal_code,
    s.appt_id, s.appt_confirmed, s.appt_duration_time, s.appt_start_at, s.appt_stop_at,
    s.appt_cancel_reason, s.appt_cancel_note,
    s.order_notes, s.delivery_rush, s.due_date, s.external_id, s.service_type,
    s.services_addon_array,
    s.order_cancel_reason, s.order_cancel_note,
    s.updated_by_id, s.updated_by, iso_8601(s.updated_at)
)::shown_order_status;

-- An order by its id, its request's id, or both: whether each exists, whether both are of one order,
-- and the id of the request. With a viewer, an order of which this user is not the client does not
-- exist.
create function find_order(wanted_order bigint, wanted_request bigint, viewer bigint)
returns table (has_order boolean, has_order_request boolean, has_same_order boolean, request bigint)
language sql stable
begin atomic
    select
        wanted_order is null or named.id is not null,
        wanted_request is null or r.id is not null,
        named.id is null or r.id is null or named.order_request_id = r.id,
        coalesce(r.id, named.order_request_id)
    from (select) as once
    left join lateral (
        select o.id, o.order_request_id
        from orders o join order_requests q on q.id = o.order_request_id
        where o.id = wanted_order and (viewer is null or exists (
            select from clients c
            where c.id = coalesce(o.client_id, q.client_id) and c.user_id = viewer
        ))
    ) named on true
    left join lateral (
        select q.id
        from order_requests q left join orders o on o.order_request_id = q.id
        where q.id = wanted_request and (viewer is null or exists (
            select from clients c
            where c.id = coalesce(o.client_id, q.client_id) and c.user_id = viewer
        ))
    ) r on true;
end;
