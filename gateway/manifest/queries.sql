-- name: lock
-- One apply at a time; the lock ends with the transaction.
select pg_advisory_xact_lock(hashtext('gateway.registry'));

-- name: services
-- All services, with the namespace that each belongs to.
select name, namespace, record from gateway.services;

-- name: routes
-- All routes, with namespace and the hash of the schema.
select name, namespace, record, params from gateway.routes;

-- name: routes_of
-- The routes of some namespaces.
select name, namespace, record, params from gateway.routes where namespace = any ($1::text[]);

-- name: neighbours
-- The routes that share with others what only one may have or all have alike: a name, a shape of
-- path, a status, a service.
select name, namespace, record, params from gateway.routes
where name = any ($1::text[])
   or regexp_replace(record ->> 'path', '\{[a-z0-9_]+', '{', 'g') = any ($2::text[])
   or record -> 'statuses' ?| $3::text[]
   or split_part(record ->> 'handler', '.', 1) = any ($4::text[]);

-- name: schemas
-- All schemas, each once.
select hash, text from gateway.schemas;

-- name: schemas_by_hash
-- Some schemas.
select hash, text from gateway.schemas where hash = any ($1::bytea[]);

-- name: bases
-- The newest revision of each namespace: a plan holds for as long as its own does not move.
select namespace, max(id) as revision from gateway.revisions group by namespace;

-- name: add_revision
-- The next revision: numbers rise by one, since the lock is held.
insert into gateway.revisions (id, namespace, applied_by, message, source, reverts_to)
select coalesce(max(id), 0) + 1, $1, $2, $3, $4, $5 from gateway.revisions
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

-- name: notify
-- Tell the workers, when the transaction commits, that there is a new revision.
select pg_notify($1, $2);

-- name: revisions
-- The history, newest first, with how much each revision changed.
select r.id as revision, r.namespace, r.applied_at, r.applied_by, r.message, r.source, r.reverts_to,
       count(*) filter (where c.before is null) as added,
       count(*) filter (where c.before is not null and c.after is not null) as changed,
       count(*) filter (where c.after is null) as deleted
from gateway.revisions r
join gateway.changes c on c.revision = r.id
group by r.id
order by r.id desc
limit $1;

-- name: changes_of
-- What one revision changed, services first.
select kind, name, namespace, before, after from gateway.changes
where revision = $1
order by kind desc, name;

-- name: undo_until
-- How every record stood at an earlier revision, of those that changed since: what was there before
-- the first change after it. Services come first.
select distinct on (kind, name) kind, name, namespace, before
from gateway.changes
where revision > $1
order by kind desc, name, revision;

-- name: revision_exists
-- Whether there is such a revision.
select exists (select from gateway.revisions where id = $1);
