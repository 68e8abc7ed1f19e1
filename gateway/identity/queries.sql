-- name: application_by_token
-- The application that a live token belongs to.
select a.id, a.slug, a.name, a.created_at, t.routes, t.id as token_id
from application_tokens t
join applications a on a.id = t.application_id
where t.token_hash = $1 and t.revoked_at is null;

-- name: session_by_token
-- The session of a live token, with its user and the roles that the user's records grant.
select s.id, s.user_id, u.first_name, u.last_name, u.email, a.slug as application,
       array_remove(array[
           case when exists (select from clients where user_id = u.id) then 'client' end,
           case when exists (select from employees where user_id = u.id) then 'employee' end,
           case when exists (select from liaisons where user_id = u.id) then 'liaison' end
       ], null) as roles,
       u.permissions, u.remember_me, s.created_at, s.last_used_at, s.address
from sessions s
join users u on u.id = s.user_id
join applications a on a.id = s.application_id
where s.token_hash = $1 and s.revoked_at is null;

-- name: application_exists
-- Whether ops have added an application of this slug.
select exists (select from applications where slug = $1) as found;

-- name: record_use
-- Write behind when sessions were last used; never backwards.
update sessions s
set last_used_at = u.at
from unnest($1::bigint[], $2::timestamptz[]) as u (id, at)
where s.id = u.id and s.last_used_at < u.at;

-- name: create_application_token
-- A new token for an application.
insert into application_tokens (application_id, token_hash, routes, note)
select id, $2, $3::text[], $4 from applications where slug = $1
returning id;

-- name: create_session
-- A new session for a user, by e-mail address.
insert into sessions (user_id, application_id, token_hash, created_at, last_used_at)
select u.id, a.id, $3, $4, $4
from users u, applications a
where lower(u.email) = lower($1) and a.slug = $2
returning id;
