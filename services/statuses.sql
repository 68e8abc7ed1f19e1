-- name: index
-- A page of the statuses that pass all filters, in the order of their ids: what tells whether their
-- rows are known.
select array_agg(id) as ids, array_agg(hash) as hashes
from (
    select s.id, hash_record_extended(s, 0) as hash
    from statuses s
    where ($1::bigint is null or s.id > $1)
        and ($2::text is null or s.name = $2)
        and ($3::text is null or exists (
            select from orders o join line_items l on l.order_id = o.id
            where o.status_id = s.id and l.sku = $3
        ))
        and ($4::timestamptz is null or s.created_at > $4)
        and ($5::timestamptz is null or s.created_at < $5)
        and ($6::timestamptz is null or s.updated_at > $6)
        and ($7::timestamptz is null or s.updated_at < $7)
    order by s.id
    limit $8 offset $9
) as page;

-- name: rows
-- Statuses as they are answered, and what they are known by.
select id as key, hash_record_extended(s, 0) as hash,
       id::text, uuid::text, name, url, color, send_mail, mail_template, change_type,
       to_char(created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as created_at,
       to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as updated_at
from statuses s
where id = any ($1);

-- name: count
-- How many statuses pass all filters.
select count(*) as count
from statuses s
where ($1::bigint is null or s.id > $1)
    and ($2::text is null or s.name = $2)
    and ($3::text is null or exists (
        select from orders o join line_items l on l.order_id = o.id
        where o.status_id = s.id and l.sku = $3
    ))
    and ($4::timestamptz is null or s.created_at > $4)
    and ($5::timestamptz is null or s.created_at < $5)
    and ($6::timestamptz is null or s.updated_at > $6)
    and ($7::timestamptz is null or s.updated_at < $7);

-- name: urls_like
-- The urls that a new one could clash with.
select url from statuses where url = $1 or starts_with(url, $1 || '-');

-- name: create
-- A new status, as it is answered; nothing if its url was taken meanwhile.
insert into statuses (name, url, color, send_mail, mail_template, change_type)
values ($1, $2, $3, $4, $5, $6)
on conflict (url) do nothing
returning id::text, uuid::text, name, url, color, send_mail, mail_template, change_type,
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as created_at,
    to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as updated_at;

-- name: update
-- Set what is given and leave the rest, in one statement: two updates at once lose nothing.
update statuses set
    name = coalesce($2, name),
    url = coalesce($3, url),
    color = coalesce($4, color),
    send_mail = coalesce($5, send_mail),
    mail_template = coalesce($6, mail_template),
    change_type = coalesce($7, change_type),
    updated_at = date_trunc('second', clock_timestamp())
where id = $1
returning id;

-- name: delete
-- Delete a status; PostgreSQL refuses it while an order has it.
delete from statuses where id = $1 returning id;
