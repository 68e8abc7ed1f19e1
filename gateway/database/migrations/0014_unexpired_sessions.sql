-- The rule by which a session has not expired, in one place. The ages are those of the gateway.
create function gateway.is_unexpired(
    created_at timestamptz, last_used_at timestamptz, max_age interval, max_idle interval,
    remember_me boolean, remember_since timestamptz
) returns boolean language sql stable
return least(created_at + max_age, last_used_at + max_idle)
    >= gateway.must_last_until(remember_me, remember_since);
