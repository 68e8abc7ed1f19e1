-- name: queue_mail
-- Put a mail into the outbox, within the transaction of what it tells of.
select gateway.queue_mail($1, $2, $3, $4, $5, $6, $7);

-- name: claim
-- Begin the first attempt at one message; nothing where somebody else has begun it.
update gateway.outbox
set attempts = 1, claimed_at = now(), next_at = now() + make_interval(secs => $2)
where id = $1 and state = 'waiting' and attempts = 0
returning id, kind, payload, attempts;

-- name: claim_due
-- Begin an attempt at each of the messages of a kind that have waited longest.
with due as (
    select id from gateway.outbox
    where state = 'waiting' and next_at <= now() and kind = $1
    order by next_at limit $2
    for update skip locked
)
update gateway.outbox o
set attempts = attempts + 1, claimed_at = now(), next_at = now() + make_interval(secs => $3)
from due where o.id = due.id
returning o.id, o.kind, o.payload, o.attempts;

-- name: hold
-- Move the next attempt at a message on, while the outcome of this one cannot be noted.
update gateway.outbox set next_at = now() + make_interval(secs => $2)
where id = $1 and state = 'waiting' and claimed_at is not null;

-- name: sent
-- Note that an attempt succeeded, unless another one has begun since.
update gateway.outbox
set state = 'sent', sent_at = clock_timestamp(), receipt = $3,
    claimed_at = null, awaited_until = null, last_error = null
where id = $1 and attempts = $2 and state = 'waiting'
returning sent_at;

-- name: failed
-- Note that an attempt failed: try again in so many seconds, or park the message. A failed mail
-- raises a notification; a failed webhook does not, since it would be told by webhook.
with failed as (
    update gateway.outbox
    set state = case
            when $4 or created_at < now() - make_interval(secs => $6) then 'parked'
            else 'waiting'
        end,
        next_at = now() + make_interval(secs => $5), last_error = $3,
        claimed_at = null, awaited_until = null,
        fault = case when kind = 'mail' then
            concat_ws(':', 'mandrill-email-failed', route, payload ->> 'template', $3::text)
        end
    where id = $1 and attempts = $2 and state = 'waiting'
    returning *
)
select f.state, f.kind, f.request_id, (
    select gateway.raise_notification(
        'mandrill-email-failed', 'error', f.fault,
        'A mail of the template ' || (f.payload ->> 'template') || ' was not sent: ' || $7::text,
        f.route, f.request_id, now(), 1
    )
    where f.kind = 'mail'
) as raised
from failed f;

-- name: late
-- Note that a call did not wait any longer, and tell of it unless the mail was sent meanwhile.
with late as (
    update gateway.outbox
    set awaited_until = null,
        fault = concat_ws(':', 'mandrill-email-failed', route, payload ->> 'template', 'late')
    where id = $1 and state = 'waiting' and fault is null
    returning *
)
select gateway.raise_notification(
    'mandrill-email-failed', 'error', late.fault,
    'A mail of the template ' || (late.payload ->> 'template') || ' was not sent in time.',
    late.route, late.request_id, now(), 1
)
from late;

-- name: sweep
-- Forget what was written more than 30 days ago and then sent or discarded.
delete from gateway.outbox
where state in ('sent', 'discarded') and created_at < now() - interval '30 days';

-- name: outstanding
-- How many messages wait and how many are parked.
select count(*) filter (where state = 'waiting') as waiting,
       count(*) filter (where state = 'parked') as parked
from gateway.outbox where state in ('waiting', 'parked');

-- name: list
-- Messages of some states, newest first.
select id, kind, state, payload ->> 'template' as template, about, about_id, attempts,
       created_at, case when state = 'waiting' then next_at end as next_at, sent_at, last_error
from gateway.outbox
where state = any ($1::text[])
order by id desc limit $2;

-- name: show
-- One message, with all that is known of it.
select id, kind, state, attempts, created_at, next_at, claimed_at, sent_at, last_error, receipt,
       about, about_id, route, request_id, payload
from gateway.outbox where id = $1;

-- name: retry
-- Let messages be tried at once that are parked or wait, but for what a call is at itself; all
-- that are parked if none is named.
update gateway.outbox
set state = 'waiting', next_at = now()
where (($1::bigint[] is null and state = 'parked') or id = any ($1))
    and state in ('parked', 'waiting')
    and (claimed_at is null or next_at <= now())
    and (awaited_until is null or awaited_until <= now())
returning id;

-- name: redirect
-- Give a message that was not sent another recipient.
update gateway.outbox set payload = jsonb_set(payload, '{email}', to_jsonb($2::text))
where id = $1 and kind = 'mail' and state in ('parked', 'waiting')
    and (claimed_at is null or next_at <= now())
    and (awaited_until is null or awaited_until <= now())
returning id;

-- name: discard
-- Give messages up that were not sent, unless an attempt is under way.
update gateway.outbox set state = 'discarded', claimed_at = null, awaited_until = null
where id = any ($1) and state in ('parked', 'waiting')
    and (claimed_at is null or next_at <= now())
    and (awaited_until is null or awaited_until <= now())
returning id;
