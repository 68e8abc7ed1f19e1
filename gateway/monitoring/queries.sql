-- name: report
-- Store the figures of a worker. Return the number of workers with a recent heartbeat, and of open
-- notifications by severity.
insert into gateway.figures (worker, figures, windows) values ($1, $2, $3)
on conflict (worker) do update
set at = now(), figures = excluded.figures, windows = excluded.windows
returning
    (
        select count(*) from gateway.workers where seen_at > now() - make_interval(secs => $4)
    ) as workers,
    (
        select coalesce(jsonb_object_agg(severity, open), '{}') from (
            select severity, count(*) as open from gateway.notifications
            where resolved_at is null group by severity
        ) n
    ) as notifications;

-- name: live_figures
-- The figures of the workers with a recent heartbeat.
select f.figures from gateway.figures f join gateway.workers w on w.id = f.worker
where w.seen_at > now() - make_interval(secs => $1);

-- name: windows
-- The figures and windows of the workers that reported lately, and the last window of each that was
-- added up already.
select f.worker::text as worker, f.figures, f.windows,
    (
        select (s.sample -> 'numbers' ->> f.worker::text)::bigint from gateway.samples s
        where s.sample -> 'numbers' ? f.worker::text
        order by s.at desc limit 1
    ) as added
from gateway.figures f
where f.at > now() - make_interval(secs => $1);

-- name: add_sample
-- Store the sums of all workers.
insert into gateway.samples (sample) values ($1);

-- name: sweep_samples
-- Delete some of the sums that are older than an hour.
delete from gateway.samples where ctid = any (array(
    select ctid from gateway.samples where at < now() - interval '1 hour'
    limit $1 for update skip locked
));

-- name: sweep_figures
-- Delete some of the figures of workers that stopped more than an hour ago.
delete from gateway.figures where ctid = any (array(
    select ctid from gateway.figures where at < now() - interval '1 hour'
    limit $1 for update skip locked
));

-- name: state
-- All that the console shows live, in one row: the workers of the last ten minutes, the samples after
-- a time, the open notifications, those resolved in the last hour, the outbox, and which operators
-- are still signed in.
select now() as at,
    (
        select coalesce(jsonb_agg(to_jsonb(w) order by w.name), '[]') from (
            select w.id, w.name, w.revision, w.revision_uid, w.trouble, w.seen_at, f.figures,
                   now() - w.seen_at < make_interval(secs => $4)
                       and (w.backend is null or exists (
                           select from pg_stat_get_activity(w.backend)
                       )) as alive
            from gateway.workers w left join gateway.figures f on f.worker = w.id
            where w.seen_at > now() - interval '10 minutes'
        ) w
    ) as workers,
    (
        select coalesce(jsonb_agg(jsonb_build_object('at', s.at) || s.sample order by s.at), '[]')
        from gateway.samples s where s.at > $1
    ) as samples,
    (
        select coalesce(jsonb_agg(to_jsonb(n) order by n.last_seen desc, n.id desc), '[]') from (
            select n.id, n.kind, n.severity, n.message, n.route, n.request_id, n.first_seen,
                   n.last_seen, n.count, n.resolved_at, n.resolved_by, n.fold,
                   (
                       select count(*) from gateway.outbox o
                       where o.fault = n.fold and o.state in ('waiting', 'parked')
                   ) as messages
            from gateway.notifications n
            where n.resolved_at is null
            order by n.last_seen desc limit $3
        ) n
    ) as open,
    (select count(*) from gateway.notifications where resolved_at is null) as open_count,
    (
        select coalesce(jsonb_agg(to_jsonb(n) order by n.resolved_at desc), '[]') from (
            select id, kind, message, route, first_seen, resolved_at, resolved_by
            from gateway.notifications
            where resolved_at > now() - interval '1 hour'
            order by resolved_at desc limit 10
        ) n
    ) as resolved,
    (
        select coalesce(jsonb_object_agg(state, messages), '{}') from (
            select state, count(*) as messages from gateway.outbox
            where state in ('waiting', 'parked') group by state
        ) o
    ) as outbox,
    (select max(id) from gateway.revisions) as newest,
    (select applied_at from gateway.revisions order by id desc limit 1) as applied_at,
    (
        select coalesce(array_agg(token_hash), '{}') from gateway.operators
        where token_hash = any ($2)
    ) as operators;
