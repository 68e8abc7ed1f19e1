-- name: swap
-- Put the restored database into the place of the one that serves, whose connections end.
alter database gateway with allow_connections false;
select pg_terminate_backend(pid) from pg_stat_activity where datname = 'gateway';
alter database gateway rename to before_restore;
alter database restored rename to gateway;

-- name: notifications
-- How many open notifications say that the database went back.
select count(*) from gateway.notifications where kind = 'registry-went-back' and resolved_at is null;
