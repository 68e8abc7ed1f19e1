-- name: queue_mail
-- Put a mail into the outbox, in the transaction of the work that it is about.
select gateway.queue_mail($1, $2, $3, $4, $5, $6, $7);

-- name: claim
-- Begin the first attempt at one message; no row if another worker has begun it.
update gateway.outbox
set attempts = 1, claimed_at = now(), next_at = now() + make_interval(secs => $2)
where id = $1 and state = 'waiting' and attempts = 0
returning id, kind, payload, attempts, about, about_id;

-- name: claim_due
-- Begin an attempt at each message of a kind that is due, the longest overdue first.
with due as (
    select id from gateway.outbox
    where state = 'waiting' and next_at <= now() and kind = $1
    order by next_at limit $2
    for update skip locked
)
update gateway.outbox o
set attempts = attempts + 1, claimed_at = now(), next_at = now() + make_interval(secs => $3)
from due where o.id = due.id
returning o.id, o.kind, o.payload, o.attempts, o.about, o.about_id;

-- name: hold
-- Postpone the next attempt at a message while the outcome of this one cannot be recorded.
update gateway.outbox set next_at = now() + make_interval(secs => $2)
where id = $1 and state = 'waiting' and claimed_at is not null;

-- name: sent
-- Record that an attempt succeeded, unless another one has begun since.
update gateway.outbox
set state = 'sent', sent_at = clock_timestamp(), receipt = $3,
    claimed_at = null, awaited_until = null, last_error = null
where id = $1 and attempts = $2 and state = 'waiting'
returning sent_at;

-- name: failed
-- Record that an attempt failed: retry after `$5` seconds, or park the message. A failed mail
-- raises a notification; a failed webhook does not, since that would go to the same webhook.
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
-- Record that a call stopped waiting, and raise a notification unless the mail was sent meanwhile.
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
-- Delete some of the sent and discarded messages that are older than 30 days.
delete from gateway.outbox where ctid = any (array(
    select ctid from gateway.outbox
    where state in ('sent', 'discarded') and created_at < now() - interval '30 days'
    limit $1 for update skip locked
));

-- name: notify
-- Let the workers look at the outbox now.
select pg_notify($1, '');

-- name: outstanding
-- The numbers of waiting and of parked messages, the ages in seconds of the oldest that wait, and
-- the seconds until the next one is due.
select count(*) filter (where state = 'waiting') as waiting,
       count(*) filter (where state = 'parked') as parked,
       extract(epoch from now() - min(created_at)
           filter (where state = 'waiting' and kind = 'mail'))::float8 as mail,
       extract(epoch from now() - min(created_at)
           filter (where state = 'waiting' and kind = 'webhook'))::float8 as webhook,
       extract(epoch from min(next_at) filter (where state = 'waiting') - now())::float8 as due_in
from gateway.outbox where state in ('waiting', 'parked');

-- name: list
-- Messages in some states, newest first.
select id, kind, state, payload ->> 'template' as template, about, about_id, attempts,
       created_at, case when state = 'waiting' then next_at end as next_at, sent_at, last_error
from gateway.outbox
where state = any ($1::text[])
order by id desc limit $2;

-- name: page
-- A page of the messages in some states that fit the filters, newest first.
select id, kind, state, payload ->> 'template' as template, payload ->> 'email' as recipient,
       about, about_id, attempts, created_at,
       case when state = 'waiting' then next_at end as next_at, sent_at, last_error
from gateway.outbox
where state = any ($1::text[])
    and ($2::text is null or kind = $2)
    and ($3::text is null or last_error = $3)
    and ($4::text is null or fault = $4)
order by id desc limit $5 offset $6;

-- name: errors
-- The last errors of the messages that are not sent, the most frequent first.
select last_error as error, count(*) as messages
from gateway.outbox where state in ('waiting', 'parked') and last_error is not null
group by last_error order by count(*) desc, last_error limit $1;

-- name: count
-- How many messages with this last error, and with this notification's key, are not sent yet.
select count(*) as messages from gateway.outbox
where state in ('waiting', 'parked')
    and ($1::text is null or last_error = $1)
    and ($2::text is null or fault = $2);

-- name: show
-- One message, with its content, attempts and last error.
select id, kind, state, attempts, created_at, next_at, claimed_at, sent_at, last_error, receipt,
       about, about_id, route, request_id, payload
from gateway.outbox where id = $1;

-- name: changeable
-- Lock the messages that an operator may change, selected by ids, last error, notification and
-- states. Messages with an attempt in progress, and those that a call waits for, are left alone.
-- `retry`, `redirect` and `discard` change the rows of this query.
select id from gateway.outbox
where ($1::bigint[] is null or id = any ($1))
    and ($2::text is null or last_error = $2)
    and ($3::text is null or fault = $3)
    and state = any ($4::text[]) and state in ('waiting', 'parked')
    and (claimed_at is null or next_at <= now())
    and (awaited_until is null or awaited_until <= now())
for update;

-- name: retry
-- Make messages due now.
update gateway.outbox o set state = 'waiting', next_at = now()
from changeable where o.id = changeable.id
returning o.id;

-- name: redirect
-- Change the recipient of a mail, and make it due now.
update gateway.outbox o
set state = 'waiting', next_at = now(), payload = jsonb_set(payload, '{email}', to_jsonb($5::text))
from changeable where o.id = changeable.id and o.kind = 'mail'
returning o.id;

-- name: discard
-- Discard messages, which are then never sent.
update gateway.outbox o set state = 'discarded', claimed_at = null, awaited_until = null
from changeable where o.id = changeable.id
returning o.id;
