-- name: raise
-- Raise a notification; if one with this deduplication key is open, add to its count.
select gateway.raise_notification(
    $1, $2, $3, $4, $5, $6, now() - make_interval(secs => $7), $8
);

-- name: late_workers
-- The live workers that cannot build a revision or do not serve the newest one in time; null if
-- there are none.
with newest as (
    select id, uid, applied_at from gateway.revisions order by id desc limit 1
)
select string_agg(
    w.name || ' serves revision ' || w.revision || coalesce(': ' || w.trouble, ''),
    '; ' order by w.name
) as message
from gateway.workers w left join newest on true
where w.seen_at > now() - make_interval(secs => $1) and (
    w.trouble is not null
    or (
        (w.revision <> newest.id or w.revision_uid <> newest.uid)
        and newest.applied_at < now() - make_interval(secs => $2)
    )
);

-- name: raise_late_workers
-- Raise a notification of late workers, or update the open one.
with updated as (
    update gateway.notifications set last_seen = now(), message = $1
    where fold = 'worker-late' and resolved_at is null
    returning id
)
select gateway.raise_notification(
    'worker-late', 'error', 'worker-late', $1, null, null, now(), 1
)
where not exists (select from updated);

-- name: resolve_lost_database
-- Resolve the notification of a lost database, once no worker has reported it for a while.
update gateway.notifications set resolved_at = now(), resolved_by = 'gateway'
where fold = 'database-lost' and resolved_at is null
    and last_seen < now() - make_interval(secs => $1);

-- name: replication
-- The standbys of this server, and why commits do not wait for them; null if they do. Roles without
-- pg_read_all_stats see that there are standbys, but not their states, so a base backup counts too.
select (select count(*) from pg_stat_replication where state is distinct from 'backup') as standbys,
    case
        when current_setting('synchronous_standby_names') = ''
            then 'synchronous_standby_names is empty'
        when current_setting('synchronous_commit') in ('off', 'local')
            then 'synchronous_commit is ' || current_setting('synchronous_commit')
    end as reason;

-- name: raise_replication
-- Raise a notification of asynchronous standbys, or update the open one. One that was resolved by
-- hand is not raised again until it is swept: the operator has accepted the risk.
with updated as (
    update gateway.notifications set last_seen = now(), message = $1
    where fold = 'replication-asynchronous' and resolved_at is null
    returning id
)
select gateway.raise_notification(
    'replication-asynchronous', 'warning', 'replication-asynchronous', $1, null, null, now(), 1
)
where not exists (select from updated) and not exists (
    select from gateway.notifications
    where fold = 'replication-asynchronous' and resolved_by <> 'gateway'
);

-- name: resolve_ended
-- Resolve the notifications whose reason has ended, by their deduplication keys.
update gateway.notifications set resolved_at = now(), resolved_by = 'gateway'
where fold = any ($1::text[]) and resolved_at is null;

-- name: sweep
-- Delete some of the notifications that were resolved more than 90 days ago.
delete from gateway.notifications where ctid = any (array(
    select ctid from gateway.notifications where resolved_at < now() - interval '90 days'
    limit $1 for update skip locked
));

-- name: forward
-- Queue webhook messages for the changes that were not forwarded yet. Those resolved more than an
-- hour ago are skipped: when a webhook is first set up, old notifications are not news.
with untold as (
    select * from gateway.notifications
    where (not told_raised or (resolved_at is not null and not told_resolved))
        and coalesce(resolved_at > now() - interval '1 hour', true)
    for update skip locked
),
told as (
    update gateway.notifications n
    set told_raised = true, told_resolved = untold.resolved_at is not null
    from untold where n.id = untold.id
),
events as (
    select 'notification.raised' as type, first_seen as at, * from untold where not told_raised
    union all
    select 'notification.resolved', resolved_at, * from untold where resolved_at is not null
)
insert into gateway.outbox (kind, payload, about, about_id)
select 'webhook',
    jsonb_build_object(
        'type', type, 'timestamp', at,
        'data', to_jsonb(events) - array['type', 'at', 'fold', 'told_raised', 'told_resolved']
    ),
    'notifications', id
from events order by id, type
returning id;

-- name: list
-- The open notifications, or all of them; the last seen first.
select id, kind, severity, message, route, request_id, first_seen, last_seen, count,
       resolved_at, resolved_by
from gateway.notifications
where $1 or resolved_at is null
order by last_seen desc, id desc limit $2;

-- name: resolve
-- Resolve notifications by id; all open ones if no id is given.
update gateway.notifications set resolved_at = now(), resolved_by = $2
where resolved_at is null and ($1::bigint[] is null or id = any ($1))
returning id;

-- name: search
-- The open or the resolved notifications of a kind, or of any, that have a text in lower case; the
-- latest first.
select n.id, n.kind, n.severity, n.message, n.route, n.request_id, n.first_seen, n.last_seen,
       n.count, n.resolved_at, n.resolved_by, n.fold,
       (
           select count(*) from gateway.outbox o
           where o.fault = n.fold and o.state in ('waiting', 'parked') and n.resolved_at is null
       ) as messages
from gateway.notifications n
where (n.resolved_at is not null) = $1
    and $2 in ('', n.kind)
    and position($3 in lower(concat_ws(' ', n.kind, n.route, n.message, n.request_id))) > 0
order by coalesce(n.resolved_at, n.last_seen) desc, n.id desc limit $4;

-- name: fold
-- The deduplication key of an open notification.
select fold from gateway.notifications where id = $1 and resolved_at is null;
