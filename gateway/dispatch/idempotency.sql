-- name: claim
-- Claim a key for as long as the transaction lasts; false while a twin has it.
select pg_try_advisory_xact_lock($1);

-- name: find
-- What was answered under a key in the last day, and what became of the mail it tells of.
select i.fingerprint, i.answer, i.mail_path, o.sent_at,
       coalesce(o.awaited_until > clock_timestamp(), false) as awaited
from gateway.idempotency i left join gateway.outbox o on o.id = i.mail
where i.key = $1 and i.created_at > now() - interval '24 hours';

-- name: keep
-- Keep an answer; one that is older than a day makes place.
insert into gateway.idempotency (key, fingerprint, answer, mail, mail_path)
values ($1, $2, $3, $4, $5)
on conflict (key) do update
set fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now(),
    mail = excluded.mail, mail_path = excluded.mail_path;

-- name: sweep
-- Forget the answers of more than a day ago.
delete from gateway.idempotency where created_at < now() - interval '24 hours';
