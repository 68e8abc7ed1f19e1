-- A limit of the values in a body.

-- Every route has the field now.
update gateway.routes set record = record || '{"max_values": 20000}';
update gateway.changes set before = before || '{"max_values": 20000}'
where kind = 'route' and before is not null;
update gateway.changes set after = after || '{"max_values": 20000}'
where kind = 'route' and after is not null;
