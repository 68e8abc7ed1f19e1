-- name: create_reset
-- Store the hash of a password reset link's token; no row for a user who may not log in.
insert into gateway.password_resets (user_id, token_hash, expires_at)
select id, $2, now() + make_interval(secs => $3)
from gateway.users
where id = $1 and disabled_at is null
returning user_id;

-- name: sweep_resets
-- Delete some of the password reset links that have expired.
delete from gateway.password_resets where ctid = any (array(
    select ctid from gateway.password_resets where expires_at < now()
    limit $1 for update skip locked
));

-- name: sweep_sessions
-- Delete some of the sessions that ended more than $3 days ago: logged out, older than $1, or idle
-- for $2. The oldest first.
delete from gateway.sessions where id in (
    select s.id
    from gateway.sessions s
    join gateway.users u on u.id = s.user_id
    where s.created_at < now() - make_interval(days => $3)
      and least(
          s.revoked_at,
          case
              when not gateway.is_unexpired(
                  s.created_at, s.last_used_at, $1, $2, u.remember_me, u.remember_since
              )
              then least(s.created_at + $1::interval, s.last_used_at + $2::interval)
          end
      ) < now() - make_interval(days => $3)
    order by s.created_at
    limit $4 for update of s skip locked
);

-- name: applications
-- All applications by slug, or the one with a slug, with the numbers of live tokens and sessions.
select a.slug, a.name as title, a.roles, a.namespace,
       case when a.removed_at is null then 'active' else 'removed' end as state,
       (
           select count(*) from gateway.application_tokens t
           where t.application_id = a.id and t.revoked_at is null
       ) as tokens,
       (
           select count(*) from gateway.live_sessions s
           where s.application = a.slug
             and gateway.is_unexpired(
                 s.created_at, s.last_used_at, $2, $3, s.remember_me, s.remember_since
             )
       ) as sessions,
       a.created_at, a.removed_at
from gateway.applications a
where $1::text is null or a.slug = $1
order by a.slug;

-- name: create_user
-- Insert a user; no row if the address is taken.
insert into gateway.users (email, first_name, last_name) values ($1, $2, $3)
on conflict (lower(email)) do nothing
returning id;

-- name: user_id
-- The id of the user with a folded address.
select id from gateway.users where lower(email) = $1;

-- name: users
-- A page of users by id, after $1, or the user with the folded address $3.
select u.id, u.email, u.first_name, u.last_name, gateway.roles_of(u.id) as roles, u.permissions,
       case
           when u.disabled_at is not null then 'disabled'
           when u.password_hash is null then 'no password'
           else 'active'
       end as state,
       (
           select count(*) from gateway.live_sessions s
           where s.user_id = u.id
             and gateway.is_unexpired(
                 s.created_at, s.last_used_at, $4, $5, s.remember_me, s.remember_since
             )
       ) as sessions,
       u.remember_me, u.created_at, u.disabled_at
from gateway.users u
where u.id > $1 and ($3::text is null or lower(u.email) = $3)
order by u.id limit $2;

-- name: grant_client
-- Give a user a client record with the user's name, unless the user has one.
insert into gateway.clients (user_id, name)
select id, first_name || ' ' || last_name from gateway.users where id = $1
on conflict (user_id) do nothing;

-- name: grant_employee
-- Give a user an employee record, unless the user has one.
insert into gateway.employees (user_id) values ($1) on conflict (user_id) do nothing;

-- name: grant_liaison
-- Give a user a liaison record, unless the user has one.
insert into gateway.liaisons (user_id) values ($1) on conflict (user_id) do nothing;

-- name: revoke_client
-- Detach a user from its client record, which stays: orders may refer to it.
update gateway.clients set user_id = null where user_id = $1;

-- name: revoke_employee
-- Delete a user's employee record.
delete from gateway.employees where user_id = $1;

-- name: revoke_liaison
-- Delete a user's liaison record.
delete from gateway.liaisons where user_id = $1;

-- name: rights
-- The roles and permissions of a user, who is locked until the transaction ends.
select gateway.roles_of(id) as roles, permissions from gateway.users where id = $1
for no key update;

-- name: set_permissions
-- Add the permissions $2 to a user's and take away $3.
update gateway.users
set permissions = array(
    select distinct p from unnest(permissions || $2::text[]) as p where p <> all ($3::text[])
    order by p
)
where id = $1;

-- name: disable
-- Disable a user and end all the user's sessions; no row if the user is disabled already.
with disabled as (
    update gateway.users set disabled_at = now() where id = $1 and disabled_at is null
    returning id
), ended as (
    update gateway.sessions set revoked_at = now()
    where user_id = (select id from disabled) and revoked_at is null
    returning id
)
select (select count(*) from ended) as ended from disabled;

-- name: enable
-- Let a disabled user log in again.
update gateway.users set disabled_at = null where id = $1 and disabled_at is not null returning id;

-- name: lock_user
-- Lock a user against log-ins and changes of the password until the transaction ends.
select from gateway.users where id = $1 for no key update;

-- name: set_password
-- Set a user's password and end all the user's sessions.
with changed as (
    update gateway.users set password_hash = $2 where id = $1 returning id
)
update gateway.sessions set revoked_at = now()
where user_id = (select id from changed) and revoked_at is null
returning id;

-- name: queue_reset
-- Queue the mail with a password reset link for an active user; return the message's id.
select gateway.queue_password_reset($1, $2, $3, null, null);

-- name: users_settings
-- The settings of the service `users`, which have the link's page and the mail's template.
select record -> 'settings' from gateway.services where name = 'users';
