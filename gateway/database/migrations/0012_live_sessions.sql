-- The live sessions of a user, the latest first, without those that ended and wait to be swept.
create index sessions_live on gateway.sessions (user_id, id) where revoked_at is null;
