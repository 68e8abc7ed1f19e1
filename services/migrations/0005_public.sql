-- The application's tables are in the schema public, also where the role that made them has a schema
-- of its own and PostgreSQL put them there.

alter table if exists gateway.order_requests set schema public;
alter table if exists gateway.orders set schema public;
alter table if exists gateway.order_stages set schema public;
alter table if exists gateway.order_statuses set schema public;
alter table if exists gateway.known_stages set schema public;
alter table if exists gateway.events set schema public;
alter table if exists gateway.statuses set schema public;
alter table if exists gateway.line_items set schema public;

do $$ begin
    if to_regtype('gateway.shown_status') is not null then
        alter type gateway.shown_status set schema public;
        alter function gateway.shown(statuses) set schema public;
        alter function gateway.note_notified() set schema public;
    end if;
end $$;
