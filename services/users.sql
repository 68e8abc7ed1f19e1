-- name: client_register
-- Insert a client record for a user; no row if the user already has one.
with company as (
    select $3::bigint is null or exists (select from gateway.companies where id = $3) as is_there
), client as (
    insert into gateway.clients (user_id, name, phone, company_id, company_name, enterprise)
    select u.id, u.first_name || ' ' || u.last_name, $2, $3, $4, $5 and $3::bigint is null
    from company, gateway.users u
    where company.is_there and u.id = $1
    on conflict (user_id) do nothing
    returning *
)
select company.is_there as company, client.id, client.user_id, client.name, client.phone,
       client.company_id, client.company_name, client.enterprise
from company left join client on true
where client.id is not null or not company.is_there;

-- name: password
-- The hash of a user's password.
select password_hash from gateway.users where id = $1;

-- name: lock
-- Lock the user against log-ins and password changes until the transaction ends.
select from gateway.users where id = $1 for no key update;

-- name: update_password
-- Set a new password and end the user's other sessions, unless the hash is no longer $3.
with changed as (
    update gateway.users set password_hash = $2 where id = $1 and password_hash = $3 returning id
), ended as (
    update gateway.sessions set revoked_at = now()
    where user_id = (select id from changed) and id <> $4 and revoked_at is null
    returning id
)
select exists (select from changed) as changed, (select count(*) from ended) as ended;

-- name: remember
-- Set `remember_me`. Sessions that had expired at $3 stay expired when it is switched on.
update gateway.users
set remember_me = $2, remember_since = case when $2 then $3 else remember_since end
where id = $1 and remember_me <> $2;

-- name: queue_reset
-- Queue the mail with a password reset link.
select gateway.queue_password_reset($1, $2, $3, $4, $5) as message_id;

-- name: reset
-- The user of the valid link with this token.
select user_id from gateway.password_resets where token_hash = $1 and expires_at > now();

-- name: confirm_reset
-- Use up a link, set the password and end all sessions of its user. A trigger uses up the other
-- links of the user.
with used as (
    delete from gateway.password_resets where token_hash = $1 and expires_at > now()
    returning user_id
), changed as (
    update gateway.users set password_hash = $2
    where id = (select user_id from used) and disabled_at is null
    returning id
), ended as (
    update gateway.sessions set revoked_at = now()
    where user_id = (select id from changed) and revoked_at is null
    returning id
)
select exists (select from changed) as changed, (select count(*) from ended) as ended;
