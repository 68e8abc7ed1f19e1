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
-- Record which revision a worker serves; called about once a second.
insert into gateway.workers (id, name, revision, revision_uid, trouble)
values ($1, $2, $3, $4, $5)
on conflict (id) do update
set seen_at = now(), revision = excluded.revision, revision_uid = excluded.revision_uid,
    trouble = excluded.trouble;

-- name: deregister
-- Delete the row of a worker that stops, and the rows of workers that died.
delete from gateway.workers where id = $1 or seen_at < now() - interval '1 hour';

-- name: late_workers
-- Live workers that serve neither a revision nor a later one of its history. All of them, if the
-- database went back and lost the revision itself.
select name, revision, trouble from gateway.workers w
where seen_at > now() - make_interval(secs => $3)
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
