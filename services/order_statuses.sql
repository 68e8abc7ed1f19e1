-- name: read
-- The status of an order as answers contain it, and the checks of the order's ids.
select f.*, case when s.order_request_id is not null then row_to_json(shown(s))::text end as status
from find_order($1, $2, $3) f
left join order_statuses s on s.order_request_id = f.request;
