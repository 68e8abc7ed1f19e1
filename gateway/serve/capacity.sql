-- name: max_connections
-- How many connections the server accepts, without those reserved for superusers.
select current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int;
