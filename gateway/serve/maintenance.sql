-- name: take_lease
-- Take or renew a lease; no row while another worker holds it.
insert into gateway.leases as l (name, holder, expires_at)
values ($1, $2, now() + make_interval(secs => $3))
on conflict (name) do update
set holder = excluded.holder, expires_at = excluded.expires_at
where l.holder = excluded.holder or l.expires_at < now()
returning name;

-- name: release_lease
-- Let another worker take the lease at once.
delete from gateway.leases where name = $1 and holder = $2;
