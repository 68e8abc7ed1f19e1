-- name: claim
-- Claim a key for as long as the transaction lasts; false while a twin has it.
select pg_try_advisory_xact_lock($1);

-- name: find
-- What was answered under a key in the last day.
select fingerprint, answer from gateway.idempotency
where key = $1 and created_at > now() - interval '24 hours';

-- name: keep
-- Keep an answer; one that is older than a day makes place.
insert into gateway.idempotency (key, fingerprint, answer) values ($1, $2, $3)
on conflict (key) do update
set fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now();

-- name: sweep
-- Forget the answers of more than a day ago.
delete from gateway.idempotency where created_at < now() - interval '24 hours';
