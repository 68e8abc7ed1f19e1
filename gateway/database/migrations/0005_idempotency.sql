-- What was answered to whom under which key, so that a repeat is answered and not done again.

create table gateway.idempotency (
    key         bytea primary key,
    fingerprint bytea not null,
    answer      text not null,
    created_at  timestamptz not null default now()
);
create index idempotency_created_at on gateway.idempotency (created_at);
comment on column gateway.idempotency.key is 'SHA-256 of the caller, the route and the key.';
comment on column gateway.idempotency.answer is
    'The data of the answer, as text: jsonb would not keep the order of its keys.';

-- Every route has the field now.
update gateway.routes set record = record || '{"idempotency": "off"}';
update gateway.changes set before = before || '{"idempotency": "off"}'
where kind = 'route' and before is not null;
update gateway.changes set after = after || '{"idempotency": "off"}'
where kind = 'route' and after is not null;
