-- name: user
-- The user with a folded address, and whether the application admits it. No row if the application is
-- unknown; no user id if the address is.
select u.id, u.password_hash, a.id as application_id, gateway.roles_of(u.id) as roles,
       a.roles is null or a.roles && gateway.roles_of(u.id) as may_enter,
       u.disabled_at is not null as disabled
from gateway.applications a
left join gateway.users u on lower(u.email) = $1
where a.slug = $2 and a.removed_at is null;

-- name: known_addresses
-- The addresses from which the user with a folded e-mail address was signed in lately.
select address from gateway.known_addresses($1) as address;

-- name: rehash
-- Store a password's new hash, unless the password was changed in the meantime.
update gateway.users set password_hash = $2 where id = $1 and password_hash = $3;

-- name: index
-- A page of the sessions that a user can still use, most recently used first. The calling session
-- ($2) was used just now, which its row does not say yet. Of the user's sessions only the latest $7
-- are read, besides the calling one: so the query is bounded, whatever the table holds.
with read as (
    (
        select id, created_at, last_used_at from gateway.sessions
        where user_id = $1 and revoked_at is null
        order by id desc
        limit $7
    )
    union
    select id, created_at, last_used_at from gateway.sessions
    where id = $2 and user_id = $1 and revoked_at is null
), page as (
    select s.id
    from read s, gateway.users u
    where u.id = $1 and (s.id = $2 or gateway.is_unexpired(
        s.created_at, s.last_used_at, $3, $4, u.remember_me, u.remember_since
    ))
    order by s.id = $2 desc, s.last_used_at desc, s.id desc
    limit $5 offset $6
)
select id, user_id, first_name, last_name, email, application, roles, permissions, remember_me,
       remember_since, created_at, last_used_at, address
from gateway.live_sessions
where id in (select id from page)
order by id = $2 desc, last_used_at desc, id desc;

-- name: count
-- How many sessions `index` lists on all its pages.
with read as (
    (
        select id, created_at, last_used_at from gateway.sessions
        where user_id = $1 and revoked_at is null
        order by id desc
        limit $5
    )
    union
    select id, created_at, last_used_at from gateway.sessions
    where id = $2 and user_id = $1 and revoked_at is null
)
select count(*) as count
from read s, gateway.users u
where u.id = $1 and (s.id = $2 or gateway.is_unexpired(
        s.created_at, s.last_used_at, $3, $4, u.remember_me, u.remember_since
    ));

-- name: end
-- End one of a user's sessions or, with $3, all of them.
update gateway.sessions set revoked_at = now()
where user_id = $1 and revoked_at is null and (id = $2 or $3)
returning id;
