-- name: lock
-- Wait until no process copies or changes a template.
select pg_advisory_lock(7462133);

-- name: unlock
-- Let other processes copy the templates.
select pg_advisory_unlock(7462133);

-- name: lock_shared
-- Wait until no process changes a template; others may copy too.
select pg_advisory_lock_shared(7462133);

-- name: unlock_shared
-- Copied: let other processes change the templates.
select pg_advisory_unlock_shared(7462133);

-- name: exists
-- Whether there is a database of this name.
select exists (select from pg_database where datname = $1);

-- name: outdated
-- Databases of tests that were killed, and templates that were not used for a week.
select datname from pg_database
where datname ~ '^gateway_test_[0-9]+_' and split_part(datname, '_', 3)::bigint < extract(epoch from now()) - 86400
   or datname ~ '^gateway_template_'
      and coalesce(shobj_description(oid, 'pg_database'), '0')::bigint < extract(epoch from now()) - 604800;
