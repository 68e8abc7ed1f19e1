-- name: application_by_token
-- The application that a live token belongs to.
select a.id, a.slug, a.name, a.created_at, t.routes, t.id as token_id
from gateway.application_tokens t
join gateway.applications a on a.id = t.application_id
where t.token_hash = $1 and t.revoked_at is null and a.removed_at is null;

-- name: session_by_token
-- The session of a live token, with its user and the roles that the user's records grant.
select id, user_id, first_name, last_name, email, application, roles, permissions, remember_me,
       remember_since, created_at, last_used_at, address
from gateway.live_sessions
where token_hash = $1;

-- name: record_use
-- Record when sessions were last used; an older time never replaces a newer one.
update gateway.sessions s
set last_used_at = u.at
from unnest($1::bigint[], $2::timestamptz[]) as u (id, at)
where s.id = u.id and s.last_used_at < u.at;

-- name: create_application_token
-- Create a token of an application; no row if the application is unknown.
insert into gateway.application_tokens (application_id, token_hash, routes, note)
select id, $2, $3::text[], $4 from gateway.applications where slug = $1 and removed_at is null
returning id;

-- name: reached_routes
-- For each of the names of routes that a token has: whether any route of the registry matches it, and
-- whether one of those takes application tokens.
select given.name, count(r.name) > 0 as is_known,
       coalesce(bool_or(r.record -> 'auth' ? 'application'), false) as is_usable
from unnest($1::text[]) as given (name)
left join gateway.routes r on given.name in ('*', r.name)
    or (given.name like '%.*' and starts_with(r.name, left(given.name, -1)))
group by given.name
order by min(array_position($1::text[], given.name));

-- name: create_session
-- Create a session of a user, by folded e-mail address; no row if the user or application is unknown.
insert into gateway.sessions (user_id, application_id, token_hash, created_at, last_used_at)
select u.id, a.id, $3, $4, $4
from gateway.users u, gateway.applications a
where lower(u.email) = $1 and u.disabled_at is null
  and a.slug = $2 and a.removed_at is null
returning id;

-- name: application_tokens
-- The tokens of one application or of all, in the order of their creation, without hashes.
select t.id, a.slug as application, t.routes, t.note, t.created_at, t.revoked_at,
       case when t.revoked_at is null then 'active' else 'revoked' end as state
from gateway.application_tokens t
join gateway.applications a on a.id = t.application_id
where $1::text is null or a.slug = $1
order by t.id;

-- name: revoke_application_token
-- Revoke a token; returns its application, and whether it was revoked now or before.
with revoked as (
    update gateway.application_tokens set revoked_at = now()
    where id = $1 and revoked_at is null
    returning id
)
select a.slug as application, exists (select from revoked) as revoked_now
from gateway.application_tokens t
join gateway.applications a on a.id = t.application_id
where t.id = $1;

-- name: end_sessions
-- End a user's sessions, by folded e-mail address; returns how many, no row if the user is unknown.
with owner as (
    select id from gateway.users where lower(email) = $1
), ended as (
    update gateway.sessions set revoked_at = now()
    where user_id = (select id from owner) and revoked_at is null
    returning id
)
select (select count(*) from ended) as ended from owner;
