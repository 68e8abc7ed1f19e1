-- name: application
-- The id of an application, and whether a user already has a folded address.
select id, exists (select from gateway.users where lower(email) = $1) as taken
from gateway.applications
where slug = $2 and removed_at is null;

-- name: register
-- Insert a user and its client record, both or neither; no row if the address is already taken.
with company as (
    select $6::bigint is null or exists (select from gateway.companies where id = $6) as is_there
), new_user as (
    insert into gateway.users (email, password_hash, first_name, last_name)
    select $1, $2, $3, $4 from company where is_there
    on conflict (lower(email)) do nothing
    returning id
), client as (
    insert into gateway.clients (user_id, name, phone, company_id, company_name, enterprise)
    select id, $3 || ' ' || $4, $5, $6, $7, $8 and $6::bigint is null from new_user
    returning *
)
select company.is_there as company, client.id, client.user_id, client.name, client.phone,
       client.company_id, client.company_name, client.enterprise
from company left join client on true
where client.id is not null or not company.is_there;
