-- Who does what only one worker of all has to do, and until when unless it says so again.
create table gateway.leases (
    name       text primary key,
    holder     uuid not null,
    expires_at timestamptz not null
);
comment on table gateway.leases is
    'Work that one worker does for all, such as sweeping old rows: its holder renews it.';
