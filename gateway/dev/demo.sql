-- name: is_fresh
-- Whether the database has no users yet.
select not exists (select from users) as fresh;

-- name: people
-- The demo's applications, users, and the records that give them roles.
insert into applications (id, slug, name, roles) values
    (1, 'planoauth', 'PlanoAuth', null),
    (2, 'planoorder', 'PlanoOrder', null),
    (3, 'planox2', 'PlanoX2', '{employee,liaison}');
insert into users (id, email, first_name, last_name, permissions) values
    (1, 'employee@example.com', 'Ada', 'Fields', '{ops}'),
    (2, 'client@example.com', 'Ben', 'Stone', '{}'),
    (3, 'liaison@example.com', 'Cleo', 'Marsh', '{}'),
    (4, 'nobody@example.com', 'Dan', 'Reed', '{}');
insert into employees (id, user_id) values (1, 1);
insert into clients (id, user_id, name, billing_postal_code) values (1, 2, 'Ben Stone', '02134');
insert into liaisons (id, user_id) values (1, 3);
select setval(pg_get_serial_sequence(name, 'id'), newest)
from (values ('applications', 3), ('users', 4), ('employees', 1), ('clients', 1), ('liaisons', 1))
    as used (name, newest);

-- name: application_token
-- The demo's application token; renewed at each start.
insert into application_tokens (application_id, token_hash, routes, note)
select id, $2, '{*}', 'demo' from applications where slug = $1
on conflict (token_hash) do update set revoked_at = null;

-- name: session
-- A demo session of a given age; renewed at each start.
insert into sessions (user_id, application_id, token_hash, created_at, last_used_at)
select u.id, a.id, $3, now() - $4::interval, now() - $4::interval
from users u, applications a
where u.email = $1 and a.slug = $2
on conflict (token_hash) do update
set created_at = excluded.created_at, last_used_at = excluded.last_used_at, revoked_at = null;

-- name: passwords
-- The demo users' password, for those that have none.
update users set password_hash = $1 where id between 1 and 4 and password_hash is null;
