-- name: primary
-- The end of the primary's WAL, its timeline, and which database system it is.
select pg_current_wal_lsn() as lsn,
    ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer as timeline,
    (select system_identifier from pg_control_system()) as system;

-- name: replica
-- How far a standby has replayed the WAL, null if it is not a standby; the timeline that it receives,
-- if that is known; and which database system it is.
select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() end as lsn,
    (select received_tli from pg_stat_wal_receiver) as timeline,
    (select system_identifier from pg_control_system()) as system;
