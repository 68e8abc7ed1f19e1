-- Passwords that are reset by mail, and sessions that do not stay for ever.

create table gateway.password_resets (
    token_hash bytea primary key,
    user_id    bigint not null references gateway.users,
    expires_at timestamptz not null
);
create index password_resets_user on gateway.password_resets (user_id);
comment on table gateway.password_resets is
    'One row for each link that was mailed and not used yet; a used link has no row.';
comment on column gateway.password_resets.token_hash is
    'SHA-256 of the token in the link. Neither this table nor the outbox ever holds the token.';

-- A new password, or a disabled account, uses up all links of the user. A trigger, so that this
-- also holds for a statement that an operator writes by hand.
create function gateway.use_up_resets() returns trigger language plpgsql as $$
begin
    delete from gateway.password_resets where user_id = new.id;
    return null;
end $$;
create trigger use_up_resets after update of password_hash, disabled_at on gateway.users
    for each row when (
        new.password_hash is distinct from old.password_hash or new.disabled_at is not null
    )
    execute function gateway.use_up_resets();

-- Queue the mail with a link for the user who has an address; return the message's id. The link
-- still says {token}: each attempt to send it makes a token of its own. For an address that no
-- active user has, the same row is written, but discarded and without an address, so that the time
-- that this takes does not tell whether there is an account.
create function gateway.queue_password_reset(
    address text, template text, reset_url text, route text, request_id text
) returns bigint language sql as $$
    insert into gateway.outbox (
        kind, payload, state, last_error, about, about_id, route, request_id
    )
    select
        'mail',
        jsonb_build_object(
            'template', template, 'email', u.email, 'name', u.first_name || ' ' || u.last_name,
            'merge', jsonb_build_object('first_name', u.first_name, 'reset_url', reset_url)
        ),
        case when u.id is null then 'discarded' else 'waiting' end,
        case when u.id is null then 'No active user has the address.' end,
        'password_resets', u.id, route, request_id
    from (values (lower(address))) as given (email)
    left join gateway.users u on lower(u.email) = given.email and u.disabled_at is null
    returning id
$$;

-- Sessions are swept by age.
create index sessions_created_at on gateway.sessions (created_at);
