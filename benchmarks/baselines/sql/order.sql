-- Find an order by its id or by its request's id, and lock the request until the transaction ends.
select r.id as order_request_id, o.id as order_id, coalesce(o.client_id, r.client_id) as client_id,
       c.billing_postal_code
from order_requests r
left join orders o on o.order_request_id = r.id
left join gateway.clients c on c.id = coalesce(o.client_id, r.client_id)
where r.id = coalesce($2::bigint, (select order_request_id from orders where id = $1))
    and ($1::bigint is null or o.id = $1)
for no key update of r
