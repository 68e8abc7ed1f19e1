-- What the console shows: the sessions of operators, the figures of each worker, the last hour.

-- A session of the console has no application, so that the API refuses its token: the API's sessions
-- are those of `gateway.live_sessions`, which needs one.
alter table gateway.sessions alter column application_id drop not null;
comment on column gateway.sessions.application_id is
    'The application that the user signed in to; null for the console.';

-- The sessions of employees who may enter the console.
create view gateway.operators as
select s.id, s.token_hash, s.user_id, u.first_name, u.last_name, u.email, ''::text as application,
       gateway.roles_of(u.id) as roles, u.permissions, u.remember_me, u.remember_since,
       s.created_at, s.last_used_at, s.address
from gateway.sessions s
join gateway.users u on u.id = s.user_id
where s.application_id is null and s.revoked_at is null and u.disabled_at is null
    and 'ops' = any (u.permissions) and 'employee' = any (gateway.roles_of(u.id));

-- Begin a session, and end the user's session with the token hash `replaced`. Null if the user was
-- disabled or the password changed since it was checked: both end all sessions that began before.
-- If the user has more than `max_sessions`, the least recently used ones end, 1000 at most, since
-- workers are notified of each. Log-ins at the same moment may each leave one session more, until
-- the next log-in.
create function gateway.begin_session(
    who bigint, application bigint, hash bytea, caller text, replaced bytea, checked text,
    max_sessions bigint
) returns bigint language sql as $$
    with person as (
        select id from gateway.users
        where id = who and password_hash = checked and disabled_at is null
        for share
    ), ended as (
        update gateway.sessions set revoked_at = now()
        where revoked_at is null and user_id = (select id from person) and (
            token_hash = replaced or id in (
                select id from gateway.sessions
                where user_id = who and revoked_at is null
                    and token_hash is distinct from replaced
                order by last_used_at desc, id desc
                offset max_sessions - 1
                limit 1000
            )
        )
    )
    insert into gateway.sessions (user_id, application_id, token_hash, address)
    select id, application, hash, caller from person
    returning id
$$;

-- The addresses of the latest sessions, live or ended, of the user with a folded address.
create function gateway.known_addresses(email text) returns setof text language sql stable as $$
    select distinct latest.address
    from (
        select s.address
        from gateway.sessions s
        where s.user_id = (select id from gateway.users u where lower(u.email) = known_addresses.email)
        order by s.id desc
        limit 200
    ) latest
    where latest.address is not null
$$;

create table gateway.figures (
    worker  uuid primary key,
    at      timestamptz not null default now(),
    figures jsonb not null,
    windows jsonb not null
);
comment on table gateway.figures is 'One row for each worker, which the worker itself updates.';
comment on column gateway.figures.windows is
    'What happened in the last windows of some seconds; `gateway.samples` has their sums.';

create table gateway.samples (
    at     timestamptz primary key default now(),
    sample jsonb not null
);
comment on table gateway.samples is 'The sums of all workers in the last hour; older rows are deleted.';
