-- Prepares the partitions of order_stages: the rows that exist are below an id, which the next file
-- checks while calls go on. Two ranges of ids are left until then.
do $$ begin
    execute format(
        'alter table order_stages add constraint order_stages_below check (id < %s) not valid',
        ((select greatest(last_value, (select coalesce(max(id), 0) from order_stages))
          from order_stages_id_seq) / 100000000 + 2) * 100000000
    );
end $$;
