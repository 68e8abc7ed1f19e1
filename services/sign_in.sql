-- name: begin
-- Begin a session; no id if the user was disabled or the password changed since it was checked.
select id from gateway.begin_session($1, $2, $3, $4, $5, $6, $7) as id where id is not null;

-- name: read
-- A session by its id, with the columns that the gateway caches.
select id, user_id, first_name, last_name, email, application, roles, permissions, remember_me,
       remember_since, created_at, last_used_at, address
from gateway.live_sessions
where id = $1;
