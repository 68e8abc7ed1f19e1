-- name: claim
-- Claim keys until the transaction ends, except those that another call has claimed.
select key, pg_try_advisory_xact_lock(lock) as is_ours
from unnest($1::bytea[], $2::bigint[]) as claims (key, lock);

-- name: find
-- The answers that were stored under keys in the last day, each with the state of its mail.
select i.key, i.fingerprint, i.answer, i.mail_path, o.sent_at,
       coalesce(o.awaited_until > clock_timestamp(), false) as awaited
from gateway.idempotency i left join gateway.outbox o on o.id = i.mail
where i.key = any ($1) and i.created_at > now() - interval '24 hours';

-- name: store
-- Store answers; an older one under the same key is replaced.
insert into gateway.idempotency (key, fingerprint, answer, mail, mail_path)
select * from unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[], $5::text[])
on conflict (key) do update
set fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now(),
    mail = excluded.mail, mail_path = excluded.mail_path;

-- name: sweep
-- Delete the answers that are older than a day.
delete from gateway.idempotency where created_at < now() - interval '24 hours';
