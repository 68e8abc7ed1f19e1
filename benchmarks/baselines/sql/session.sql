-- Find the session of a token, with the user's roles.
select id, user_id, first_name, last_name, application, roles, remember_me, created_at, last_used_at
from gateway.live_sessions
where token_hash = $1
