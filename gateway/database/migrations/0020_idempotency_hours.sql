-- Idempotency keys in a table for each hour, which is emptied as a whole when its keys have expired:
-- a delete of each row, and the vacuum after it, would cost as much as storing them.
--
-- 26 tables take turns. So there is always one for this hour: none is created or dropped while the
-- gateway serves, and if they were not emptied for days, calls still work. They inherit from
-- `gateway.idempotency` and are not its partitions: a gateway of an earlier version runs
-- `on conflict (key)`, which a table that is partitioned by time cannot have. Uniqueness does not
-- come from an index: each key is locked before it is looked up and stored, and of two answers under
-- one key the older has expired.

alter table gateway.idempotency rename to idempotency_before;
alter index gateway.idempotency_pkey rename to idempotency_before_pkey;
drop trigger add_idempotency_key on gateway.idempotency_before;
drop function gateway.add_idempotency_key();

create table gateway.idempotency (
    like gateway.idempotency_before including defaults including comments, primary key (key)
);
comment on table gateway.idempotency is
    'All stored answers: it has no rows of its own, only those of the tables that inherit from it.';
alter table gateway.idempotency_before inherit gateway.idempotency;
comment on table gateway.idempotency_before is 'Answers from before there was a table an hour.';

-- The table of an hour.
create function gateway.idempotency_hour(at timestamptz) returns integer language sql stable
return (floor(extract(epoch from at) / 3600) % 26)::integer;

-- Store answers in the table of this hour. The body has one branch for each table, since the plan of
-- a statement that is put together at run time is not kept.
do $$
declare
    branches text;
begin
    select string_agg(format($branch$
        when %1$s then
            insert into gateway.idempotency_%1$s (key, fingerprint, answer, mail, mail_path)
            select * from unnest(keys, fingerprints, answers, mails, mail_paths);$branch$, hour), '')
    into branches
    from generate_series(0, 25) as hour;
    execute format($function$
        create function gateway.store_answers(
            keys bytea[], locks bigint[], fingerprints bytea[], answers text[], mails bigint[],
            mail_paths text[]
        ) returns void language plpgsql as $body$
        declare
            today smallint := gateway.idempotency_day(now());
        begin
            insert into gateway.idempotency_keys (day, lock)
            select today, lock from unnest(locks) as lock;
            case gateway.idempotency_hour(now()) %s
            end case;
        end $body$
    $function$, branches);
    for hour in 0..25 loop
        execute format(
            'create table gateway.idempotency_%1$s () inherits (gateway.idempotency) '
            'with (autovacuum_enabled = false, toast.autovacuum_enabled = false); '
            'create index idempotency_%1$s_key on gateway.idempotency_%1$s (key)', hour
        );
        perform gateway.copy_privileges(
            'gateway.idempotency_before', format('gateway.idempotency_%s', hour)::regclass
        );
    end loop;
    perform gateway.copy_privileges('gateway.idempotency_before', 'gateway.idempotency');
end $$;

-- The answers that were stored under keys in the last day, each with the state of its mail; of two
-- under one key, the newest last. Most keys are new, and for these only the index of locks is read.
-- The settings hold during the call: the tables fill up faster than their statistics follow, so that
-- a scan which was cheap for an empty table would be kept.
create function gateway.find_answers(wanted bytea[], locks bigint[])
returns table (
    key bytea, fingerprint bytea, answer text, mail_path text, sent_at timestamptz, awaited boolean
) language plpgsql stable rows 1
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
    used bigint[] := array(
        select k.lock from gateway.idempotency_keys k where k.lock = any (locks)
    );
begin
    if used <> '{}' then
        return query
        select i.key, i.fingerprint, i.answer, i.mail_path, o.sent_at,
            coalesce(o.awaited_until > clock_timestamp(), false)
        from gateway.idempotency i left join gateway.outbox o on o.id = i.mail
        where i.key = any (
                array(select w.key from unnest(wanted, locks) w (key, lock) where w.lock = any (used))
            )
            and i.created_at > now() - interval '24 hours'
        order by i.created_at;
    end if;
end $$;

-- What a gateway of an earlier version stores is stored in the table of this hour too.
create function gateway.store_answer() returns trigger language plpgsql as $$
begin
    perform gateway.store_answers(
        array[new.key], array[gateway.idempotency_lock(new.key)], array[new.fingerprint],
        array[new.answer], array[new.mail], array[new.mail_path]
    );
    return null;
end $$;
create trigger store_answer before insert on gateway.idempotency
    for each row execute function gateway.store_answer();

-- Empty a table whose rows have all expired; return whether there was one. A table that a transaction
-- uses is left for the next time, since calls would wait behind this wait for its lock. It runs as
-- the owner of the tables, since the role that serves may not truncate them.
create function gateway.empty_expired_answers() returns boolean language plpgsql
security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
    expired regclass;
    -- An array, since a query that is not finished would be in the way of its table.
    all_expired regclass[] := array(
        select format('gateway.idempotency_%s', slot) from generate_series(0, 25) as slot
        where (floor(extract(epoch from now()) / 3600) - slot)::bigint % 26 = 25
        union all
        select format('gateway.idempotency_keys_%s', slot) from generate_series(0, 2) as slot
        where (floor(extract(epoch from now()) / 86400) - slot)::bigint % 3 = 2
        union all
        select 'gateway.idempotency_before' where not exists (
            select from gateway.idempotency_before where created_at > now() - interval '24 hours'
        )
    );
begin
    foreach expired in array all_expired
    loop
        begin
            if pg_relation_size(expired) > 0 then
                execute format('truncate only %s', expired);
                return true;
            end if;
        exception when lock_not_available then
            raise debug '% is in use', expired;
        end;
    end loop;
    return false;
end $$;
