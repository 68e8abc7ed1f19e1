-- name: begin
-- A new session; one of the same user whose token was presented with the request ends. No row if
-- the password is another one by now: who changes it ends every session that began before.
with person as (
    select id from users where id = $1 and password_hash = $6 for share
), before as (
    update sessions set revoked_at = now()
    where token_hash = $5 and user_id = (select id from person) and revoked_at is null
)
insert into sessions (user_id, application_id, token_hash, address)
select id, $2, $3, $4 from person
returning id;

-- name: read
-- A session as the gateway knows it, by its id.
select id, user_id, first_name, last_name, email, application, roles, permissions, remember_me,
       created_at, last_used_at, address
from gateway.live_sessions
where id = $1;
