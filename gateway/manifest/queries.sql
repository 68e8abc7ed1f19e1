-- name: lock
-- One apply at a time; the lock ends with the transaction.
select pg_advisory_xact_lock(hashtext('gateway.registry'));

-- name: services
-- All services, with the namespace that each belongs to.
select name, namespace, record from gateway.services;

-- name: routes
-- All routes, with namespace and schema.
select r.name, r.namespace, r.record, s.text as params
from gateway.routes r
join gateway.schemas s on s.hash = r.params;

-- name: add_revision
-- The next revision: numbers rise by one, since the lock is held.
insert into gateway.revisions (id, namespace, applied_by, message, changes)
select coalesce(max(id), 0) + 1, $1, $2, $3, $4 from gateway.revisions
returning id;

-- name: put_service
-- Write a service.
insert into gateway.services (name, namespace, record, revision) values ($1, $2, $3, $4)
on conflict (name) do update set record = excluded.record, revision = excluded.revision;

-- name: put_schema
-- Write a schema, unless an equal one is there.
insert into gateway.schemas (hash, text) values ($1, $2) on conflict do nothing;

-- name: put_route
-- Write a route.
insert into gateway.routes (name, namespace, record, params, revision)
values ($1, $2, $3, $4, $5)
on conflict (name) do update
set record = excluded.record, params = excluded.params, revision = excluded.revision;

-- name: delete_services
-- Delete services by name.
delete from gateway.services where name = any ($1::text[]);

-- name: delete_routes
-- Delete routes by name.
delete from gateway.routes where name = any ($1::text[]);

-- name: delete_unused_schemas
-- Delete the schemas that no route uses any more.
delete from gateway.schemas s where not exists (select from gateway.routes where params = s.hash);

-- name: notify
-- Tell the workers, when the transaction commits, that there is a new revision.
select pg_notify($1, $2);
