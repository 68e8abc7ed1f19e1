-- name: begin
-- Insert a session, and end the user's session with the token hash $5. No row if the user was
-- disabled or the password changed since it was checked: both end all sessions that began before.
-- If the user has more than $7 sessions, the least recently used ones end, 1000 at most, since workers
-- are notified of each. Log-ins at the same moment may each leave one session more, until the next
-- log-in.
with person as (
    select id from gateway.users
    where id = $1 and password_hash = $6 and disabled_at is null
    for share
), ended as (
    update gateway.sessions set revoked_at = now()
    where revoked_at is null and user_id = (select id from person) and (
        token_hash = $5 or id in (
            select id from gateway.sessions
            where user_id = $1 and revoked_at is null and token_hash is distinct from $5
            order by last_used_at desc, id desc
            offset $7 - 1
            limit 1000
        )
    )
)
insert into gateway.sessions (user_id, application_id, token_hash, address)
select id, $2, $3, $4 from person
returning id;

-- name: read
-- A session by its id, with the columns that the gateway caches.
select id, user_id, first_name, last_name, email, application, roles, permissions, remember_me,
       remember_since, created_at, last_used_at, address
from gateway.live_sessions
where id = $1;
