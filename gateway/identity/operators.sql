-- name: operator_by_token
-- The session of a live token of the console.
select id, user_id, first_name, last_name, email, application, roles, permissions, remember_me,
       remember_since, created_at, last_used_at, address
from gateway.operators
where token_hash = $1;

-- name: user
-- The user with a folded address, and whether the user may enter the console.
select id, password_hash,
       disabled_at is null and 'ops' = any (permissions) and 'employee' = any (gateway.roles_of(id))
           as may_enter
from gateway.users where lower(email) = $1;

-- name: known_addresses
-- The addresses from which the user with a folded e-mail address was signed in lately.
select address from gateway.known_addresses($1) as address;

-- name: begin
-- Begin a session of the console; no id if the password was changed since it was checked.
select id from gateway.begin_session($1, null, $2, $3, $4, $5, $6) as id where id is not null;

-- name: end
-- End the session of a token.
update gateway.sessions set revoked_at = now()
where token_hash = $1 and application_id is null and revoked_at is null;
