-- Two things that need no lock of a table in use.

-- The idempotency keys that were stored before the trigger of the file before. A key that the trigger
-- has added too does no harm.
insert into gateway.idempotency_keys (day, lock)
select gateway.idempotency_day(created_at), gateway.idempotency_lock(key)
from gateway.idempotency
where created_at > now() - interval '24 hours';

-- Tables that only grow are partitioned by ranges of an ascending id. An application registers such a
-- table in a migration with `gateway.partition_ahead`, and one worker of all adds the partitions.
create table gateway.range_partitions (
    table_name text primary key,
    step       bigint not null check (step > 0)
);
comment on table gateway.range_partitions is
    'The tables that get partitions ahead, and the number of ids in each new one.';

-- The end of the last range of a table; 0 if it has none.
create function gateway.end_of_ranges(target regclass) returns bigint language sql stable
return (
    select coalesce(
        max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(\d+)''?\)'))[1]::bigint), 0
    )
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = target
);

-- The greatest id of a table that is partitioned by it; -1 if it is empty.
create function gateway.greatest_id(target regclass) returns bigint language plpgsql stable as $$
declare
    greatest_id bigint;
begin
    execute format('select coalesce(max(%I), -1) from %s', (
        select a.attname from pg_partitioned_table p
        join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
        where p.partrelid = target
    ), target) into greatest_id;
    return greatest_id;
end $$;

-- Add a partition unless a whole empty one is ahead of the greatest id; return whether it was added.
-- If the ranges have ended, rows are in the default partition, and stay there: the next range begins
-- far enough above them. The partition is made first and attached then, since that lets the calls
-- that use the table go on.
create function gateway.add_range_partition(target regclass, step bigint) returns boolean
language plpgsql as $$
declare
    greatest_id bigint := gateway.greatest_id(target);
    start bigint := gateway.end_of_ranges(target);
    partition text;
begin
    if start > greatest_id + step then
        return false;
    end if;
    if start <= greatest_id then
        start := (greatest_id / step + 2) * step;
    end if;
    select format('%I.%I', n.nspname, c.relname || '_' || start) into partition
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = target;
    execute format(
        'create table %1$s (like %2$s including defaults including constraints including generated '
        'including storage including comments); '
        'alter table %2$s attach partition %1$s for values from (%3$s) to (%4$s)',
        partition, target, start, start + step
    );
    perform gateway.copy_privileges(target, partition::regclass);
    return true;
end $$;

-- Register a table that is partitioned by ranges of an id, and add its first partitions. Rows above
-- all ranges go to a default partition, so that an insert never fails for want of one.
create function gateway.partition_ahead(target regclass, step bigint) returns void
language plpgsql as $$
declare
    qualified text := (
        select format('%I.%I', n.nspname, c.relname)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = target
    );
    rest text := (
        select format('%I.%I', n.nspname, c.relname || '_rest')
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = target
    );
begin
    insert into gateway.range_partitions as p (table_name, step) values (qualified, step)
    on conflict (table_name) do update set step = excluded.step;
    if (select partdefid = 0 from pg_partitioned_table where partrelid = target) then
        execute format('create table %s partition of %s default', rest, target);
        perform gateway.copy_privileges(target, rest::regclass);
    end if;
    while gateway.add_range_partition(target, step) loop
    end loop;
end $$;

-- Add one partition where one is missing; return whether there was one. It does not wait for locks,
-- since calls would wait behind it, and runs as the owner of the tables.
create function gateway.add_missing_partition() returns boolean language plpgsql
security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
    registered record;
    tables gateway.range_partitions[] := array(
        select p from gateway.range_partitions p where to_regclass(table_name) is not null
    );
begin
    foreach registered in array tables loop
        if gateway.add_range_partition(registered.table_name::regclass, registered.step) then
            return true;
        end if;
    end loop;
    return false;
end $$;
