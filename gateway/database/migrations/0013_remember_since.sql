-- Sessions that had expired when `remember_me` was switched on stay expired, not ended.

alter table gateway.users add column remember_since timestamptz;
comment on column gateway.users.remember_since is
    'When remember_me was last switched on: sessions that had expired by then stay expired. Null if '
    'no session had.';

-- The time by which a session must not have ended, to be live.
create function gateway.must_last_until(remember_me boolean, remember_since timestamptz)
returns timestamptz language sql stable
return case when remember_me then coalesce(remember_since, '-infinity') else now() end;

-- A trigger, so that this also holds for a statement that an operator writes by hand.
create function gateway.set_remember_since() returns trigger language plpgsql as $$
begin
    if new.remember_since is not distinct from old.remember_since then
        new.remember_since := now();
    end if;
    return new;
end $$;
create trigger set_remember_since before update of remember_me on gateway.users
    for each row when (new.remember_me and not old.remember_me)
    execute function gateway.set_remember_since();

create or replace view gateway.live_sessions as
select s.id, s.token_hash, s.user_id, u.first_name, u.last_name, u.email, a.slug as application,
       gateway.roles_of(u.id) as roles, u.permissions, u.remember_me, s.created_at,
       s.last_used_at, s.address, u.remember_since
from gateway.sessions s
join gateway.users u on u.id = s.user_id
join gateway.applications a on a.id = s.application_id
where s.revoked_at is null and u.disabled_at is null and a.removed_at is null;
