-- name: claim
-- Claim keys until the transaction ends, except those that another call has claimed.
select key, pg_try_advisory_xact_lock(lock) as is_ours
from unnest($1::bytea[], $2::bigint[]) as claims (key, lock);

-- name: find
-- The answers that were stored under keys in the last day, each with the state of its mail; of two
-- under one key, the newest last.
select key, fingerprint, answer, mail_path, sent_at, awaited from gateway.find_answers($1, $2);

-- name: wait_for_standbys
-- Let the commit of this transaction wait until a standby has all that it has read.
select pg_logical_emit_message(true, 'gateway', '');

-- name: store
-- Store answers in the table of this hour.
select gateway.store_answers($1, $2, $3, $4, $5, $6);

-- name: sweep
-- Empty one table whose answers have expired; return whether there was one.
select gateway.empty_expired_answers() as is_emptied;
