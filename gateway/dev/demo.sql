-- name: is_fresh
-- Whether the database has no users yet.
select not exists (select from gateway.users) as fresh;

-- name: people
-- The demo's users, and the records that give them roles.
insert into gateway.users (id, email, first_name, last_name, permissions) values
    (1, 'employee@example.com', 'Ada', 'Fields', '{ops,ops:act}'),
    (2, 'client@example.com', 'Ben', 'Stone', '{}'),
    (3, 'liaison@example.com', 'Cleo', 'Marsh', '{}'),
    (4, 'nobody@example.com', 'Dan', 'Reed', '{}'),
    (5, 'payment@example.com', 'Eve', 'Moss', '{}');
insert into gateway.employees (id, user_id) values (1, 1);
insert into gateway.clients (id, user_id, name, billing_postal_code) values
    (1, 2, 'Ben Stone', '02134'),
    (2, 5, 'Eve Moss', '80202');
insert into gateway.liaisons (id, user_id) values (1, 3);
select setval(pg_get_serial_sequence(name, 'id'), newest)
from (values ('gateway.users', 5), ('gateway.employees', 1), ('gateway.clients', 2), ('gateway.liaisons', 1))
    as used (name, newest);

-- name: application_token
-- The demo's application token; renewed at each start. Not by `on conflict`, which would use up an
-- id each time.
with renewed as (
    update gateway.application_tokens set revoked_at = null where token_hash = $2 returning id
)
insert into gateway.application_tokens (application_id, token_hash, routes, note)
select id, $2, '{*}', 'demo' from gateway.applications
where slug = $1 and not exists (select from renewed);

-- name: session
-- A demo session of a given age; renewed at each start, without using up an id.
with renewed as (
    update gateway.sessions
    set created_at = now() - $4::interval, last_used_at = now() - $4::interval, revoked_at = null
    where token_hash = $3 returning id
)
insert into gateway.sessions (user_id, application_id, token_hash, created_at, last_used_at)
select u.id, a.id, $3, now() - $4::interval, now() - $4::interval
from gateway.users u, gateway.applications a
where u.email = $1 and a.slug = $2 and not exists (select from renewed);

-- name: passwords
-- The demo users' password, for those that have none.
update gateway.users set password_hash = $1 where id between 1 and 5 and password_hash is null;

-- name: other_namespaces
-- The namespaces of services and routes, without the given ones.
select namespace from gateway.services where namespace <> all ($1::text[])
union
select namespace from gateway.routes where namespace <> all ($1::text[])
order by namespace;
