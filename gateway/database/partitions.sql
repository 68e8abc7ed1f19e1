-- name: add_missing
-- Add one partition where the ranges end soon; return whether there was one.
select gateway.add_missing_partition() as is_added;
