-- name: lock
-- Admit one apply at a time; the lock ends with the transaction.
select pg_advisory_xact_lock(hashtext('gateway.registry'));

-- name: applications
-- All applications; those without a namespace are in no manifest yet.
select slug as name, namespace, jsonb_build_object('title', name, 'roles', roles) as record
from gateway.applications
where removed_at is null;

-- name: services
-- All services with their namespaces.
select name, namespace, record from gateway.services;

-- name: routes
-- All routes with their namespaces and the hashes of their schemas.
select name, namespace, record, params from gateway.routes;

-- name: routes_of
-- The routes of some namespaces.
select name, namespace, record, params from gateway.routes where namespace = any ($1::text[]);

-- name: possible_conflicts
-- The routes with one of these names, path shapes or status slugs, and the routes of deleted
-- services and applications.
select name, namespace, record, params from gateway.routes
where name = any ($1::text[])
   or regexp_replace(record ->> 'path', '\{[a-z0-9_]+', '{', 'g') = any ($2::text[])
   or record -> 'statuses' ?| $3::text[]
   or split_part(record ->> 'handler', '.', 1) = any ($4::text[])
   or record -> 'roles' ?| $5::text[];

-- name: schemas
-- All schemas.
select hash, text from gateway.schemas;

-- name: schemas_by_hash
-- Some schemas.
select hash, text from gateway.schemas where hash = any ($1::bytea[]);

-- name: namespace_revisions
-- The newest revision of each namespace; a pinned plan is valid until its namespace gets another.
select distinct on (namespace) namespace, id as number, uid from gateway.revisions
order by namespace, id desc;

-- name: add_revision
-- Add the next revision. Numbers have no gaps, since the lock is held.
insert into gateway.revisions (id, namespace, applied_by, message, source, reverts_to)
select coalesce(max(id), 0) + 1, $1, $2, $3, $4, $5 from gateway.revisions
returning id as number, uid;

-- name: put_application
-- Write an application; a removed one returns with its tokens and sessions.
insert into gateway.applications (slug, namespace, name, roles, revision)
values ($1, $2, $3, $4, $5)
on conflict (slug) do update
set namespace = excluded.namespace, name = excluded.name, roles = excluded.roles,
    revision = excluded.revision, removed_at = null;

-- name: put_service
-- Write a service.
insert into gateway.services (name, namespace, record, revision) values ($1, $2, $3, $4)
on conflict (name) do update set record = excluded.record, revision = excluded.revision;

-- name: put_schema
-- Write a schema, unless an equal one exists.
insert into gateway.schemas (hash, text) values ($1, $2) on conflict do nothing;

-- name: put_route
-- Write a route.
insert into gateway.routes (name, namespace, record, params, revision)
values ($1, $2, $3, $4, $5)
on conflict (name) do update
set record = excluded.record, params = excluded.params, revision = excluded.revision;

-- name: delete_applications
-- Mark applications as removed. Their rows stay, since tokens and sessions refer to them.
update gateway.applications set removed_at = now() where slug = any ($1::text[]);

-- name: delete_services
-- Delete services by name.
delete from gateway.services where name = any ($1::text[]);

-- name: delete_routes
-- Delete routes by name.
delete from gateway.routes where name = any ($1::text[]);

-- name: rename_in_tokens
-- Let the live tokens that cover a route's old name cover its new name: the exact name is replaced,
-- and `service.*` of the old service gets the new name beside it.
with renamed as (
    select $1::text as old_name, $2::text as new_name,
           split_part($1::text, '.', 1) || '.*' as old_service,
           array['*', $2::text, split_part($2::text, '.', 1) || '.*'] as covers_new
)
update gateway.application_tokens
set routes = case
        when routes && covers_new then array_remove(routes, old_name)
        when old_name = any (routes) then array_replace(routes, old_name, new_name)
        else routes || new_name
    end
from renamed
where revoked_at is null
  and (old_name = any (routes) or (old_service = any (routes) and not routes && covers_new));

-- name: notify
-- Notify the workers of a new revision when the transaction commits.
select pg_notify($1, $2);

-- name: revisions
-- The revisions before a given one, or the newest ones, newest first, with the number of changes of
-- each. Only the changes of the listed revisions are counted.
select r.id as revision, r.uid, r.namespace, r.applied_at, r.applied_by, r.message, r.source,
       r.reverts_to, c.added, c.changed, c.deleted
from (
    select * from gateway.revisions
    where id < coalesce($2::bigint, 9223372036854775807)
        and exists (select from gateway.changes where revision = gateway.revisions.id)
    order by id desc limit $1
) r
cross join lateral (
    select count(*) filter (where before is null) as added,
           count(*) filter (where before is not null and after is not null) as changed,
           count(*) filter (where after is null) as deleted
    from gateway.changes where revision = r.id
) c
order by r.id desc;

-- name: changes_of
-- The changes of one revision: applications, services, routes.
select c.kind, c.name, c.namespace, c.before, c.after, r.uid
from gateway.changes c
join gateway.revisions r on r.id = c.revision
where c.revision = $1
order by array_position('{application,service,route}', c.kind), c.name;

-- name: first_changes_of
-- The first changes of one revision, with the number of all. Changed and deleted records come before
-- added ones, since an addition breaks no caller.
select c.kind, c.name, c.namespace, c.before, c.after, r.uid, c.number
from (
    select *, count(*) over () as number from gateway.changes
    where revision = $1
    order by before is null, array_position('{application,service,route}', kind), name
    limit $2
) c
join gateway.revisions r on r.id = c.revision
order by array_position('{application,service,route}', c.kind), c.name;

-- name: versions_of_route
-- The changes of one route, newest first, with the texts of its schemas.
select c.revision, r.applied_at, c.before, c.after,
       old.text as old_params, new.text as new_params
from gateway.changes c
join gateway.revisions r on r.id = c.revision
left join gateway.schemas old on old.hash = decode(c.before ->> 'params', 'hex')
left join gateway.schemas new on new.hash = decode(c.after ->> 'params', 'hex')
where c.kind = 'route' and c.name = $1
order by c.revision desc
limit $2;

-- name: undo_until
-- The state at an earlier revision of every record that has changed since: the `before` of its first
-- change after that revision.
select distinct on (kind, name) kind, name, namespace, before
from gateway.changes
where revision > $1
order by kind, name, revision;

-- name: revision_uid
-- The random id of a revision; no row for an unknown revision.
select uid from gateway.revisions where id = $1;
