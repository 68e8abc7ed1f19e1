-- name: raise
-- Raise a notification, or count in the one that is open.
select gateway.raise_notification(
    $1, $2, $3, $4, $5, $6, now() - make_interval(secs => $7), $8
);

-- name: late_workers
-- The live workers that cannot build a revision or do not serve the newest one in time; null if
-- there are none.
with newest as (
    select id, applied_at from gateway.revisions order by id desc limit 1
)
select string_agg(
    w.name || ' serves revision ' || w.revision || coalesce(': ' || w.trouble, ''),
    '; ' order by w.name
) as message
from gateway.workers w left join newest on true
where w.seen_at > now() - make_interval(secs => $1) and (
    w.trouble is not null
    or (w.revision < newest.id and newest.applied_at < now() - make_interval(secs => $2))
);

-- name: raise_late_workers
-- Raise a notification of late workers, or bring the one that is open up to date.
with known as (
    update gateway.notifications set last_seen = now(), message = $1
    where fold = 'worker-late' and resolved_at is null
    returning id
)
select gateway.raise_notification(
    'worker-late', 'error', 'worker-late', $1, null, null, now(), 1
)
where not exists (select from known);

-- name: heal_workers
-- Resolve what tells of late workers: there is none.
update gateway.notifications set resolved_at = now(), resolved_by = 'gateway'
where fold = 'worker-late' and resolved_at is null;

-- name: heal_database
-- Resolve what tells of a lost database: whoever runs this has it, and all had time to say so.
update gateway.notifications set resolved_at = now(), resolved_by = 'gateway'
where fold = 'database-lost' and resolved_at is null
    and last_seen < now() - make_interval(secs => $1);

-- name: sweep
-- Forget what was resolved more than 90 days ago.
delete from gateway.notifications where resolved_at < now() - interval '90 days';

-- name: forward
-- Put what nobody was told of yet into the outbox, for the webhook; of what is long resolved, as
-- when a webhook is set for the first time, nobody needs to hear.
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
from events order by id, type;

-- name: list
-- Notifications, newest first: those that are open, or all.
select id, kind, severity, message, route, request_id, first_seen, last_seen, count,
       resolved_at, resolved_by
from gateway.notifications
where $1 or resolved_at is null
order by last_seen desc, id desc limit $2;

-- name: resolve
-- Resolve notifications by hand; all that are open if none is named.
update gateway.notifications set resolved_at = now(), resolved_by = $2
where resolved_at is null and ($1::bigint[] is null or id = any ($1))
returning id;
