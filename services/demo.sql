-- Demo orders, which `gateway dev` puts into a fresh database.
-- Orders 1 to 100, each with the order request of id 1000 + n; requests 1101 to 1110 have none yet.

insert into order_requests (id, client_id) select 1000 + n, 1 from generate_series(1, 110) as n;
insert into orders (id, order_request_id, client_id) select n, 1000 + n, 1 from generate_series(1, 100) as n;
insert into events (id, slug, mail_template) values
    (1, 'stage-changed', 'order-stage-changed'),
    (2, 'broken-template', 'no-such-template');

select setval(pg_get_serial_sequence(name, 'id'), newest)
from (values ('order_requests', 1110), ('orders', 100), ('events', 2)) as used (name, newest);
