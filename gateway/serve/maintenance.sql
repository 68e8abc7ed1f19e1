-- name: take_lease
-- Take or renew a lease; the seconds until it is free are null for its holder. Most workers only
-- read it, since another one holds it.
with held as (
    select extract(epoch from expires_at - now())::float8 as seconds from gateway.leases
    where name = $1 and holder <> $2 and expires_at >= now()
), taken as (
    insert into gateway.leases as l (name, holder, expires_at)
    select $1, $2, now() + make_interval(secs => $3) where not exists (select from held)
    on conflict (name) do update
    set holder = excluded.holder, expires_at = excluded.expires_at
    where l.holder = excluded.holder or l.expires_at < now()
    returning null::float8 as seconds
)
select seconds from held union all select seconds from taken;

-- name: release_lease
-- Let another worker take the lease at once.
delete from gateway.leases where name = $1 and holder = $2;
