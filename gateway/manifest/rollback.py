"""Rollback: restore the whole registry to an earlier revision, as a new revision."""

from gateway.database.connect import Connection
from gateway.manifest import servable
from gateway.manifest.apply import (
    Applied,
    Author,
    refuse_breaking,
    refuse_many_deletes,
    registry_transaction,
    write,
)
from gateway.manifest.bulk import paused_gc
from gateway.manifest.plan import Plan, changes_of, possible_conflicts
from gateway.manifest.records import stored
from gateway.manifest.records.change import KINDS, Change, Key, Record
from gateway.manifest.records.stored import SQL, Stored, with_text
from gateway.registry import store
from gateway.runtime.errors import OperatorError


class UnknownRevisionError(OperatorError):
    """The registry has no such revision."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"unknown revision {revision}; `gateway history` lists the revisions")


class OtherRevisionError(OperatorError):
    """The revision of this number is another one than the operator meant."""

    def __init__(self, revision: int, uid: str) -> None:
        super().__init__(
            f"revision {revision} is another one here, {uid}: the database went back since; "
            "`gateway history` lists the revisions"
        )


class EmptyRevisionError(OperatorError):
    """Revision 0 is the registry before its first apply."""

    def __init__(self) -> None:
        super().__init__(
            "revision 0 is the empty registry, which a rollback cannot restore; to delete routes, "
            "remove them from the manifest and run `gateway apply --prune`"
        )


async def rollback(
    connection: Connection,
    revision: int,
    author: Author,
    *,
    uid: str = "",
    max_deletes: int | None = None,
    allow_breaking: bool = True,
) -> list[Applied]:
    """Restore the whole registry to a revision; each changed namespace gets a new revision.

    With `uid`, the beginning of the revision's random id, another revision of that number is
    refused. Records that must return to another namespace are deleted in a revision before. Going
    back further than the newest revision may delete no more routes than an apply. Raises
    UnknownRevisionError, OtherRevisionError, EmptyRevisionError, TooManyDeletesError,
    BreakingError unless `allow_breaking`, and ManifestError if that state can no longer be served.
    """
    async with registry_transaction(connection):
        registry = await stored.read(connection)
        plans = await _plans(connection, registry, revision, uid)
        if not await _undoes_the_newest(connection, revision):
            hint = f"see `gateway rollback {revision} --dry-run`"
            for plan in plans:
                refuse_many_deletes(registry, plan, max_deletes, hint=hint)
        if not allow_breaking:
            refuse_breaking(plans)
        return [await _restore(connection, plan, author, revision) for plan in plans]


async def plan_rollback(connection: Connection, revision: int, uid: str = "") -> list[Plan]:
    """What a rollback would change. Raises as `rollback` does, but for limits."""
    with paused_gc():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _plans(connection, await stored.read(connection), revision, uid)


async def _undoes_the_newest(connection: Connection, revision: int) -> bool:
    return revision >= (await store.newest(connection)).number - 1


async def _restore(connection: Connection, plan: Plan, author: Author, revision: int) -> Applied:
    written = await write(connection, plan, author, reverts_to=revision)
    return Applied(
        namespace=plan.namespace,
        revision=written.number,
        revision_uid=written.uid,
        changes=plan.changes,
        left_alone=[],
    )


async def _plans(connection: Connection, registry: Stored, revision: int, uid: str) -> list[Plan]:
    """The plans that restore a revision, checked against the whole registry."""
    if not revision:
        raise EmptyRevisionError
    found = await connection.fetchval(SQL["revision_uid"], revision)
    if found is None:
        raise UnknownRevisionError(revision)
    if not str(found).startswith(uid.lower()):
        raise OtherRevisionError(revision, str(found))
    plans = await _differences(connection, registry, revision)
    conflicts = await possible_conflicts(connection, plans)
    servable.refuse_unservable(conflicts, changes_of(plans), servable.Sources())
    return plans


async def _differences(connection: Connection, registry: Stored, revision: int) -> list[Plan]:
    """First the deletions of records that another namespace gets back, then all other changes."""
    texts = await stored.schemas(connection)
    handovers: dict[str, list[Change]] = {}
    changes: dict[str, list[Change]] = {}
    rows = await connection.fetch(SQL["undo_until"], revision)
    for row in sorted(rows, key=lambda row: KINDS.index(row["kind"])):
        key: Key = (row["kind"], row["name"])
        now, then = registry.records.get(key), with_text(row["before"], texts)
        owner = registry.owners.get(key, row["namespace"])
        if now and then and owner != row["namespace"]:
            handovers.setdefault(owner, []).append(_change(key, before=now, after=None))
            now = None
        if now != then:
            namespace = row["namespace"] if then else owner
            changes.setdefault(namespace, []).append(_change(key, before=now, after=then))
    return [
        Plan(
            namespace=namespace,
            base=registry.revision_of(namespace),
            changes=by_namespace[namespace],
        )
        for by_namespace in (handovers, changes)
        for namespace in sorted(by_namespace)
    ]


def _change(key: Key, *, before: Record | None, after: Record | None) -> Change:
    kind, name = key
    return Change(kind=kind, name=name, before=before, after=after)
