-- name: claim
-- Claim keys for as long as the transaction lasts; not those that a twin has.
select key, pg_try_advisory_xact_lock(lock) as is_ours
from unnest($1::bytea[], $2::bigint[]) as claims (key, lock);

-- name: find
-- What was answered under keys in the last day, and what became of the mail each tells of.
select i.key, i.fingerprint, i.answer, i.mail_path, o.sent_at,
       coalesce(o.awaited_until > clock_timestamp(), false) as awaited
from gateway.idempotency i left join gateway.outbox o on o.id = i.mail
where i.key = any ($1) and i.created_at > now() - interval '24 hours';

-- name: store
-- Keep answers; one that is older than a day makes place.
insert into gateway.idempotency (key, fingerprint, answer, mail, mail_path)
select * from unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[], $5::text[])
on conflict (key) do update
set fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now(),
    mail = excluded.mail, mail_path = excluded.mail_path;

-- name: sweep
-- Forget the answers of more than a day ago.
delete from gateway.idempotency where created_at < now() - interval '24 hours';
