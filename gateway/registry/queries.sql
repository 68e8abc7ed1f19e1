-- name: newest
-- The newest revision; no row before the first.
select id as number, uid from gateway.revisions order by id desc limit 1;

-- name: has_revision
-- Whether a revision belongs to this database's history.
select exists (select from gateway.revisions where id = $1 and uid = $2);

-- name: services
-- All services.
select name, record from gateway.services;

-- name: applications
-- All applications as records. One that no manifest has had may have no roles: it lets in all.
select slug,
       jsonb_build_object(
           'title', name, 'roles', coalesce(roles, '{client,employee,liaison}')
       ) as record
from gateway.applications
where removed_at is null;

-- name: routes
-- All routes, each with the hash of its schema.
select name, record, params from gateway.routes;

-- name: changes_since
-- The newest state of every record that has changed since a revision.
select distinct on (c.kind, c.name) c.kind, c.name, c.after, s.text as params
from gateway.changes c
left join gateway.schemas s on s.hash = decode(c.after ->> 'params', 'hex')
where c.revision > $1
order by c.kind, c.name, c.revision desc
limit $2;

-- name: heartbeat
-- Record which revision a worker serves; called every few seconds. Returns the newest revision.
with newest as (
    select id, uid from gateway.revisions order by id desc limit 1
), worker as (
    insert into gateway.workers (id, name, revision, revision_uid, trouble, leaves, backend)
    values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (id) do update
    set seen_at = now(), revision = excluded.revision, revision_uid = excluded.revision_uid,
        trouble = excluded.trouble, backend = excluded.backend
)
select (select id from newest) as number, (select uid from newest) as uid;

-- name: deregister
-- Delete the row of a worker that stops.
delete from gateway.workers where id = $1;

-- name: sweep
-- Delete some of the rows of workers that died.
delete from gateway.workers where ctid = any (array(
    select ctid from gateway.workers where seen_at < now() - interval '1 hour'
    limit $1 for update skip locked
));

-- name: workers_of_machine
-- The other workers of a machine, with the seconds since their last report.
select id, name, extract(epoch from now() - seen_at)::float8 as silence from gateway.workers
where starts_with(name, $1 || ':') and id <> $2 and not leaves;

-- name: mark_dead
-- Record that workers take no calls any more.
update gateway.workers set leaves = true where id = any ($1::uuid[]);

-- name: live_workers
-- The number of workers that reported in the last seconds.
select count(*) from gateway.workers where seen_at > now() - make_interval(secs => $1);

-- name: late_workers
-- Workers that serve neither a revision nor a later one of its history. All of them, if the database
-- went back and lost the revision itself. A worker that is silent may be cut off and serve what it
-- had, so it counts as late too, for a while, unless it takes no calls without the database.
select name, revision, trouble,
       case when seen_at < now() - make_interval(secs => $3)
           then extract(epoch from now() - seen_at)::float8
       end as silence
from gateway.workers w
where seen_at > now() - make_interval(secs => case when leaves then $3 else $4 end)
    and not (
        revision >= $1
        and exists (select from gateway.revisions where id = $1 and uid = $2)
        and (
            revision_uid is null
            or exists (
                select from gateway.revisions r where r.id = w.revision and r.uid = w.revision_uid
            )
        )
    )
order by name;

-- name: schemas
-- The schemas in use; the history keeps more.
select hash, text from gateway.schemas s
where exists (select from gateway.routes r where r.params = s.hash);
