-- Identity in the gateway's schema, applications in the manifest, settings of services.

-- `public` is for the tables of the application that the gateway serves.
alter table applications set schema gateway;
alter table application_tokens set schema gateway;
alter table users set schema gateway;
alter table clients set schema gateway;
alter table employees set schema gateway;
alter table liaisons set schema gateway;
alter table sessions set schema gateway;
alter table companies set schema gateway;

create or replace function gateway.roles_of(user_id bigint) returns text[] language sql stable
return array_remove(array[
    case when exists (select from gateway.clients c where c.user_id = $1) then 'client' end,
    case when exists (select from gateway.employees e where e.user_id = $1) then 'employee' end,
    case when exists (select from gateway.liaisons l where l.user_id = $1) then 'liaison' end
], null);

alter table gateway.applications
    add column namespace text,
    add column revision bigint references gateway.revisions,
    add column removed_at timestamptz;
comment on column gateway.applications.namespace is
    'The namespace whose manifest has the application; null if no manifest has had it yet.';
comment on column gateway.applications.removed_at is
    'When a manifest left the application out. Its tokens and sessions are refused until it returns.';

alter table gateway.users add column disabled_at timestamptz;
comment on column gateway.users.disabled_at is
    'Since when the user may not sign in; the sessions are refused too.';

create or replace view gateway.live_sessions as
select s.id, s.token_hash, s.user_id, u.first_name, u.last_name, u.email, a.slug as application,
       gateway.roles_of(u.id) as roles, u.permissions, u.remember_me, s.created_at,
       s.last_used_at, s.address
from gateway.sessions s
join gateway.users u on u.id = s.user_id
join gateway.applications a on a.id = s.application_id
where s.revoked_at is null and u.disabled_at is null and a.removed_at is null;

drop trigger tell_identity on gateway.applications;
create trigger tell_identity after update of slug, name, removed_at or delete
    on gateway.applications for each row execute function gateway.tell_identity('all', 'id');
drop trigger tell_identity on gateway.users;
create trigger tell_identity
    after update of email, first_name, last_name, permissions, remember_me, disabled_at or delete
    on gateway.users for each row execute function gateway.tell_identity('user', 'id');

alter table gateway.changes drop constraint changes_kind_check;
alter table gateway.changes
    add constraint changes_kind_check check (kind in ('application', 'service', 'route'));

-- Every service has the field now.
update gateway.services set record = record || '{"settings": {}}';
update gateway.changes set before = before || '{"settings": {}}'
where kind = 'service' and before is not null;
update gateway.changes set after = after || '{"settings": {}}'
where kind = 'service' and after is not null;
