-- Prepares idempotency keys for one table an hour: an index of the keys of the last days, which says
-- at once that a key is new. Without it a call would search the tables of all hours.

-- The first bytes of a key as a number, which is also the number of its lock.
create function gateway.idempotency_lock(key bytea) returns bigint language sql immutable
return ('x' || encode(substring(key for 8), 'hex'))::bit(64)::bigint;

-- One partition for each of three days in turn: yesterday, today, and the next, which is emptied
-- before it begins.
create table gateway.idempotency_keys (
    day  smallint not null,
    lock bigint not null
) partition by list (day);
create index idempotency_keys_lock on gateway.idempotency_keys (lock);
comment on table gateway.idempotency_keys is
    'The locks of the keys in gateway.idempotency. A row too many costs time; one that is missing '
    'would run a repeated call twice.';
do $$ begin
    for day in 0..2 loop
        execute format(
            'create table gateway.idempotency_keys_%s partition of gateway.idempotency_keys '
            'for values in (%s) with (autovacuum_enabled = false)', day, day
        );
    end loop;
end $$;

-- The partition of a day.
create function gateway.idempotency_day(at timestamptz) returns smallint language sql stable
return (floor(extract(epoch from at) / 86400) % 3)::smallint;

-- The next file copies the keys that were stored before this trigger.
create function gateway.add_idempotency_key() returns trigger language plpgsql as $$
begin
    insert into gateway.idempotency_keys (day, lock)
    values (gateway.idempotency_day(now()), gateway.idempotency_lock(new.key));
    return new;
end $$;
create trigger add_idempotency_key before insert on gateway.idempotency
    for each row execute function gateway.add_idempotency_key();

-- Give the roles that may use one table the same privileges on another one.
create function gateway.copy_privileges(source regclass, target regclass) returns void
language plpgsql as $$
declare
    granted record;
begin
    for granted in
        select distinct a.privilege_type as privilege,
            case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end
                as role
        from pg_class c cross join lateral aclexplode(c.relacl) a
        where c.oid = source and a.grantee <> c.relowner
    loop
        execute format('grant %s on %s to %s', granted.privilege, target, granted.role);
    end loop;
end $$;
do $$ begin
    perform gateway.copy_privileges('gateway.idempotency', 'gateway.idempotency_keys');
    for day in 0..2 loop
        perform gateway.copy_privileges(
            'gateway.idempotency', format('gateway.idempotency_keys_%s', day)::regclass
        );
    end loop;
end $$;
