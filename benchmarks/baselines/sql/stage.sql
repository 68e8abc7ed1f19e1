-- Insert the stage: the first of the two writes.
insert into order_stages (
    order_id, order_request_id, stage, stage_trigger, stage_start_at, created_at_fm,
    created_by_id, created_by, notes, event_slug, notified_at
) values (
    $1, $2, $3, $4, coalesce($5::timestamptz, clock_timestamp()),
    coalesce($6::timestamptz, clock_timestamp()), $7, $8, $9, $10, $11
) returning *
