-- name: begin
-- Insert a session, and end the user's session with the token hash $5. No row if the password was
-- changed since it was checked: a change of password ends all sessions that began before it.
with person as (
    select id from gateway.users where id = $1 and password_hash = $6 for share
), before as (
    update gateway.sessions set revoked_at = now()
    where token_hash = $5 and user_id = (select id from person) and revoked_at is null
)
insert into gateway.sessions (user_id, application_id, token_hash, address)
select id, $2, $3, $4 from person
returning id;

-- name: read
-- A session by its id, with the columns that the gateway caches.
select id, user_id, first_name, last_name, email, application, roles, permissions, remember_me,
       created_at, last_used_at, address
from gateway.live_sessions
where id = $1;
