-- Update the status: the second of the two writes. Absent params leave their columns unchanged.
insert into order_statuses as s (
    order_request_id, order_id, order_stage_id, stage, stage_trigger, stage_start_at,
    client_id, client_billing_postal_code, updated_by_id, updated_by,
    appt_id, appt_confirmed, appt_duration_time, appt_start_at, appt_stop_at,
    appt_cancel_reason, appt_cancel_note,
    order_notes, delivery_rush, due_date, external_id, service_type, services_addon_array,
    order_cancel_reason, order_cancel_note, updated_at
) values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
    $11, $12, $13, $14, $15, $16, $17,
    $18, $19, $20, $21, $22, $23::jsonb, $24, $25, clock_timestamp()
)
on conflict (order_request_id) do update set
    order_id = coalesce(excluded.order_id, s.order_id),
    order_stage_id = excluded.order_stage_id,
    stage = excluded.stage,
    stage_trigger = excluded.stage_trigger,
    stage_start_at = excluded.stage_start_at,
    client_id = excluded.client_id,
    client_billing_postal_code = excluded.client_billing_postal_code,
    updated_by_id = excluded.updated_by_id,
    updated_by = excluded.updated_by,
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
    updated_at = excluded.updated_at
returning *
