-- Demo orders, which `gateway dev` inserts into a new database.
-- Orders 1 to 100, each with the order request of id 1000 + n; requests 1101 to 1110 have none yet.
-- The mail to the client of order 99 fails: the stand-in for Mandrill requests a payment.

insert into order_requests (id, client_id) select 1000 + n, 1 from generate_series(1, 110) as n;
insert into orders (id, order_request_id, client_id) select n, 1000 + n, 1 from generate_series(1, 100) as n;
update orders set client_id = 2 where id = 99;
update order_requests set client_id = 2 where id = 1099;

select setval(pg_get_serial_sequence(name, 'id'), newest)
from (values ('order_requests', 1110), ('orders', 100)) as used (name, newest);

insert into statuses (
    id, uuid, name, url, color, send_mail, mail_template, change_type, created_at, updated_at
) values
    (1, '64bc99e9-3f99-417c-a704-81a9fbab0e5e', 'Nowe', 'nowe', 'EC451F', '1', '1', '0',
     '2011-09-13 18:08:32+00', '2011-09-13 18:08:32+00'),
    (2, 'bc279e5b-4b7d-4ba6-82c8-7e259aa74c40', 'Spakowane', 'spakowane', 'BEE5FC', '1', '2', '1',
     '2011-11-06 20:25:44+00', '2011-11-06 20:25:44+00'),
    (3, '0f0d4c1e-6c0b-4f0e-9d3a-0b3c9c1a7e03', 'Wysłane', 'wyslane', 'F55161', '1', '1', '0',
     '2012-01-10 08:00:00+00', '2012-01-10 08:00:00+00'),
    (4, '0f0d4c1e-6c0b-4f0e-9d3a-0b3c9c1a7e04', 'Anulowane', 'anulowane', '9B9B9B', '0', '0', '0',
     '2012-01-10 08:00:01+00', '2012-03-01 12:30:00+00'),
    (5, '0f0d4c1e-6c0b-4f0e-9d3a-0b3c9c1a7e05', 'koniec', 'koniec', '7ED321', '0', '0', '0',
     '2012-01-10 08:00:02+00', '2012-01-10 08:00:02+00');
update orders set status_id = 2 where id = 7;
insert into line_items (order_id, sku) values (7, 'FLOORPLAN');
select setval(pg_get_serial_sequence('statuses', 'id'), 5);
