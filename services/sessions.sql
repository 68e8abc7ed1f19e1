-- name: user
-- The user with an address, and whether the application admits it. No row if the application is
-- unknown; no user id if the address is.
select u.id, u.password_hash, a.id as application_id, gateway.roles_of(u.id) as roles,
       a.roles is null or a.roles && gateway.roles_of(u.id) as may_enter
from gateway.applications a
left join gateway.users u on lower(u.email) = lower($1)
where a.slug = $2 and a.removed_at is null;

-- name: rehash
-- Store a password's new hash, unless the password was changed in the meantime.
update gateway.users set password_hash = $2 where id = $1 and password_hash = $3;

-- name: index
-- The sessions of a user that were not ended, most recently used first.
select id, user_id, first_name, last_name, email, application, roles, permissions, remember_me,
       created_at, last_used_at, address
from gateway.live_sessions
where user_id = $1
order by last_used_at desc, id desc;

-- name: end
-- End one of a user's sessions or, with $3, all of them.
update gateway.sessions set revoked_at = now()
where user_id = $1 and revoked_at is null and (id = $2 or $3)
returning id;
