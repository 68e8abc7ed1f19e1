-- name: add
-- Add to the counts of some windows; returns all workers' count, and that of the window before.
insert into gateway.counts as c (key, started, count)
select g.key, g.started, g.count
from unnest($1::bytea[], $2::int[], $3::timestamptz[], $4::bigint[])
    as g (key, seconds, started, count)
order by g.key
on conflict (key, started) do update set count = c.count + excluded.count
returning c.key, c.count, coalesce((
    select p.count from gateway.counts p
    where p.key = c.key and p.started < c.started
      and p.started >= c.started - make_interval(secs => (
          select g.seconds from unnest($1::bytea[], $2::int[]) as g (key, seconds)
          where g.key = c.key
      ))
), 0) as before;

-- name: sweep
-- Delete some of the windows that no limit reads any more; the longest limit is an hour.
delete from gateway.counts where ctid = any (array(
    select ctid from gateway.counts where started < now() - interval '2 hours'
    limit $1 for update skip locked
));
