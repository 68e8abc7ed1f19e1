-- name: newest
-- The number of the newest revision, 0 before the first.
select coalesce(max(id), 0) as revision from gateway.revisions;

-- name: services
-- All services that are registered.
select name, record from gateway.services;

-- name: routes
-- All routes that are registered, each with the hash of its schema.
select name, record, params from gateway.routes;

-- name: schemas
-- All schemas, each once.
select hash, text from gateway.schemas;
