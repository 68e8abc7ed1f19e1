-- The keys that were stored before the trigger of the file before. Only reads them, so that calls go
-- on meanwhile; a key that the trigger has added too does no harm.
insert into gateway.idempotency_keys (day, lock)
select gateway.idempotency_day(created_at), gateway.idempotency_lock(key)
from gateway.idempotency
where created_at > now() - interval '24 hours';
