"""Apply: write a plan's changes with their history, in one transaction under a lock."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gateway.database.connect import Connection
from gateway.manifest import stored
from gateway.manifest.bulk import batches, without_collection
from gateway.manifest.change import Change, Key, Kind, Record
from gateway.manifest.check import Desired
from gateway.manifest.plan import Base, MovedError, Plan, compare_all, neighbours, refuse_unservable
from gateway.manifest.stored import SQL, Stored, digest, with_hash, with_text
from gateway.registry import store

Progress = Callable[[int], None]
"""Told how many more rows are written."""

FREE_DELETES = 10
FREE_SHARE = 10
"""Deletes of this many routes, or of every tenth, need no `max_deletes`."""


class TooManyDeletesError(Exception):
    """An apply would delete more routes than was meant, as far as anybody can tell."""


class UnknownRevisionError(Exception):
    """There is no such revision to roll back to."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes the registry, why, and from which file."""

    actor: str
    message: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done. `revision` is the registry's newest, also where nothing changed.

    `left_alone` names the records that the manifest no longer has and that only prune deletes.
    """

    namespace: str
    revision: int
    changes: list[Change]
    left_alone: list[str]


def _no_progress(_: int) -> None:
    """Nobody watches."""


async def apply(  # noqa: PLR0913 - each is a choice of whoever applies
    connection: Connection,
    desired: Desired,
    author: Author,
    *,
    prune: bool = False,
    base: int | None = None,
    max_deletes: int | None = None,
    progress: Progress = _no_progress,
) -> Applied:
    """Make one namespace hold what is desired, as `apply_all` does."""
    [done] = await apply_all(
        connection,
        [desired],
        author,
        prune=prune,
        bases={} if base is None else {desired.namespace: Base(base)},
        max_deletes=max_deletes,
        progress=progress,
    )
    return done


async def apply_all(  # noqa: PLR0913 - each is a choice of whoever applies
    connection: Connection,
    desired: Sequence[Desired],
    author: Author,
    *,
    prune: bool = False,
    bases: Mapping[str, Base] = MappingProxyType({}),
    max_deletes: int | None = None,
    progress: Progress = _no_progress,
) -> list[Applied]:
    """Make namespaces hold what is desired; records left out go only with `prune`.

    With `bases` only if these namespaces are still what the plan was made for. Raises
    ManifestError if the whole registry could not be served then, MovedError, TooManyDeletesError;
    then nothing is written.
    """
    async with _changing(connection):
        registry = await stored.read(connection, [each.namespace for each in desired])
        _refuse_moved(registry, bases)
        plans = await compare_all(connection, registry, desired, prune=prune)
        _refuse_others(plans, bases)
        for plan in plans:
            _refuse_many_deletes(registry, plan, max_deletes)
        written = {
            plan.namespace: await _write(connection, plan, author, progress=progress)
            for plan in plans
            if plan.changes
        }
        newest = await store.newest(connection)
    return [
        Applied(p.namespace, written.get(p.namespace, newest), p.changes, p.left_alone)
        for p in plans
    ]


@asynccontextmanager
async def _changing(connection: Connection) -> AsyncIterator[None]:
    """A transaction that changes the registry: one at a time."""
    with without_collection():
        async with connection.transaction():
            await connection.execute(SQL["lock"])
            yield


def _refuse_moved(registry: Stored, bases: Mapping[str, Base]) -> None:
    for namespace, base in bases.items():
        if registry.base(namespace) != base.revision:
            raise MovedError(
                f"the plan was made for revision {base.revision} of the namespace {namespace}, "
                f"which is at {registry.base(namespace)} now: plan again"
            )


def _refuse_others(plans: list[Plan], bases: Mapping[str, Base]) -> None:
    """Another database may stand at the same revision, and hold something else."""
    for plan in plans:
        base = bases.get(plan.namespace)
        if base and base.changes not in {None, plan.digest}:
            raise MovedError(
                f"the plan was made for a registry whose namespace {plan.namespace} holds "
                "something else: plan again"
            )


async def rollback(connection: Connection, revision: int, author: Author) -> list[Applied]:
    """Make the whole registry what it was at a revision; each namespace gets a new revision.

    A namespace gives records back to another in a revision before. Raises UnknownRevisionError;
    ManifestError if that state cannot be served any more.
    """
    async with _changing(connection):
        if revision and not await connection.fetchval(SQL["revision_exists"], revision):
            raise UnknownRevisionError(f"there is no revision {revision}: see `gateway history`")
        registry = await stored.read(connection)
        plans = await _plans_back(connection, registry, revision)
        refuse_unservable(await neighbours(connection, plans), plans)
        done = []
        for plan in plans:
            written = await _write(connection, plan, author, reverts_to=revision)
            done.append(Applied(plan.namespace, written, plan.changes, []))
    return done


async def _plans_back(connection: Connection, registry: Stored, revision: int) -> list[Plan]:
    """What leads back; records that belong to another namespace now are deleted there first."""
    texts = await stored.schemas(connection)
    given_back: dict[str, list[Change]] = {}
    others: dict[str, list[Change]] = {}
    for row in await connection.fetch(SQL["undo_until"], revision):
        key: Key = (row["kind"], row["name"])
        now, then = registry.records.get(key), with_text(row["before"], texts)
        owner = registry.owners.get(key, row["namespace"])
        if now and then and owner != row["namespace"]:
            given_back.setdefault(owner, []).append(Change(*key, now, None))
            now = None
        if now != then:
            namespace = row["namespace"] if then else owner
            others.setdefault(namespace, []).append(Change(*key, now, then))
    return [
        Plan(namespace, registry.base(namespace), changes)
        for by_namespace in (given_back, others)
        for namespace, changes in sorted(by_namespace.items())
    ]


def _refuse_many_deletes(registry: Stored, plan: Plan, most: int | None) -> None:
    routes = sum(
        key[0] == "route" and owner == plan.namespace for key, owner in registry.owners.items()
    )
    limit = max(FREE_DELETES, routes // FREE_SHARE) if most is None else most
    if plan.deletes > limit:
        raise TooManyDeletesError(
            f"{plan.deletes} of the {routes} routes of the namespace {plan.namespace} would be "
            f"deleted, and {limit} may be: say --max-deletes {plan.deletes} if that is meant"
        )


async def _write(
    connection: Connection,
    plan: Plan,
    author: Author,
    *,
    reverts_to: int | None = None,
    progress: Progress = _no_progress,
) -> int:
    """Write the changes as a new revision, and answer its number."""
    by = author.actor, author.message, author.source, reverts_to
    revision: int = await connection.fetchval(SQL["add_revision"], plan.namespace, *by)
    await _delete(connection, plan.changes)
    for kind in ("service", "route"):
        after = [(c.name, c.after) for c in plan.changes if c.kind == kind and c.after is not None]
        if kind == "route":
            await _put_schemas(connection, [record["params"] for _, record in after])
        for batch in batches(after):
            await _put(connection, kind, plan.namespace, batch, revision)
            progress(len(batch))
    for changes in batches(plan.changes):
        await connection.copy_records_to_table(
            "changes",
            schema_name="gateway",
            columns=["revision", "kind", "name", "namespace", "before", "after"],
            records=[_history(change, plan.namespace, revision) for change in changes],
        )
        progress(len(changes))
    await connection.execute(SQL["notify"], store.CHANNEL, str(revision))
    return revision


def _history(change: Change, namespace: str, revision: int) -> tuple[Any, ...]:
    before, after = with_hash(change.before), with_hash(change.after)
    return revision, change.kind, change.name, namespace, before, after


async def _delete(connection: Connection, changes: list[Change]) -> None:
    for kind, query in (("route", "delete_routes"), ("service", "delete_services")):
        names = [c.name for c in changes if c.kind == kind and c.after is None]
        if names:
            await connection.execute(SQL[query], names)


async def _put_schemas(connection: Connection, texts: list[str]) -> None:
    for batch in batches(dict.fromkeys(texts)):
        await connection.executemany(SQL["put_schema"], [(digest(text), text) for text in batch])


async def _put(
    connection: Connection,
    kind: Kind,
    namespace: str,
    batch: list[tuple[str, Record]],
    revision: int,
) -> None:
    if kind == "service":
        rows = [(name, namespace, record, revision) for name, record in batch]
        await connection.executemany(SQL["put_service"], rows)
        return
    await connection.executemany(
        SQL["put_route"],
        [
            (name, namespace, _without_params(record), digest(record["params"]), revision)
            for name, record in batch
        ],
    )


def _without_params(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "params"}
