-- name: index
-- For each requested page a hash of its rows, by ascending id; with `whole` also the rows as JSON.
select page.hash, page.rows
from jsonb_to_recordset($1::jsonb) as g (
    i bigint, whole boolean, since_id bigint, name text, sku text,
    created_at_min timestamptz, created_at_max timestamptz,
    updated_at_min timestamptz, updated_at_max timestamptz,
    "limit" bigint, "offset" bigint
)
cross join lateral (
    select
        hash_array_extended(array_agg(s), $2) as hash,
        '[' || string_agg(row_to_json(shown)::text, ',') || ']' as rows
    from (
        select s, case when g.whole then shown(s) end as shown
        from statuses s
        where s.id > coalesce(g.since_id, '-9223372036854775808')
            and (g.name is null or s.name = g.name)
            and (g.sku is null or exists (
                select from orders o join line_items l on l.order_id = o.id
                where o.status_id = s.id and l.sku = g.sku
            ))
            and (g.created_at_min is null or s.created_at > g.created_at_min)
            and (g.created_at_max is null or s.created_at < g.created_at_max)
            and (g.updated_at_min is null or s.updated_at > g.updated_at_min)
            and (g.updated_at_max is null or s.updated_at < g.updated_at_max)
        order by s.id
        limit g."limit" offset g."offset"
    ) as passed
) as page
order by g.i;

-- name: read
-- A status as answers contain it.
select row_to_json(shown(s))::text as status from statuses s where id = $1;

-- name: count
-- The number of statuses that pass all filters.
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

-- name: lock_urls
-- Wait for other transactions that choose a url, and let later ones wait.
select pg_advisory_xact_lock(hashtextextended('statuses.url', 0));

-- name: urls_like
-- The urls with which the chosen one could collide, without that of the status $2.
select url from statuses where (url = $1 or starts_with(url, $1 || '-')) and id is distinct from $2;

-- name: create
-- Insert a status and return it as answers contain it.
insert into statuses (name, url, color, send_mail, mail_template, change_type)
values ($1, $2, $3, $4, $5, $6)
returning row_to_json(shown(statuses))::text as status;

-- name: update
-- Set the given fields only. One statement, so that concurrent updates lose nothing.
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
