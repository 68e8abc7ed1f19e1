"""Apply: write a plan's changes with their history, in one transaction under a lock."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

from gateway.database.connect import Connection
from gateway.manifest.bulk import batches, paused_gc
from gateway.manifest.check import Desired
from gateway.manifest.plan import (
    Base,
    MovedError,
    Plan,
    compare_all,
)
from gateway.manifest.records import breaking, stored
from gateway.manifest.records.change import KINDS, Change, Kind, Record, renames, with_renames
from gateway.manifest.records.stored import SQL, Stored, digest, with_hash
from gateway.registry import store
from gateway.registry.revision import Revision
from gateway.runtime.errors import OperatorError

Progress = Callable[[int], None]
"""Called with the number of rows written since the last call."""

FREE_DELETES = 10
FREE_ONE_IN = 10
"""Without `max_deletes` an apply may delete 10 routes, or one in 10 if that is more."""


COMPLETE_FILE = "check that the file is complete"
"""The hint for an `apply` with too many deletes."""


class TooManyDeletesError(OperatorError):
    """An apply would delete more routes than its limit allows."""


class BreakingError(OperatorError):
    """Changes would break callers, and the operator did not allow that."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        lines = [
            f"  {change.kind} {change.name}: {phrase}"
            for plan in plans
            for change, phrases in plan.breaking()
            for phrase in phrases
        ]
        text = "nothing was changed: this would break callers, which --no-breaking refuses:"
        super().__init__("\n".join([text, *lines]))


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes the registry, why, and from which file."""

    actor: str
    message: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome for one namespace.

    `revision` is the new revision or, without changes, the newest of the registry, and
    `revision_uid` its random id. `left_alone` names the records that are missing from the manifest
    and that only prune would delete.
    """

    namespace: str
    revision: int
    revision_uid: UUID | None
    changes: list[Change]
    left_alone: list[str]

    @property
    def identity(self) -> Revision:
        """The revision with its random id, for which the workers are waited for."""
        return Revision(number=self.revision, uid=self.revision_uid)

    @property
    def steps(self) -> list[Change]:
        """The changes as people read them: a renamed route is one change."""
        return with_renames(self.changes)

    def breaking(self) -> list[tuple[Change, list[str]]]:
        """The changes that break callers, and how."""
        return breaking.breaking(self.steps)

    def as_object(self) -> dict[str, Any]:
        """For programs."""
        return {
            "namespace": self.namespace,
            "revision": self.revision,
            "revision_uid": self.revision_uid,
            "changes": [_as_object(change) for change in self.steps],
            "breaking": breaking.as_object(self.breaking()),
            "left_alone": self.left_alone,
        }


def _as_object(change: Change) -> dict[str, Any]:
    return {name: value for name, value in change.as_object().items() if name != "fields"}


def _no_progress(_: int) -> None:
    pass


async def apply(  # noqa: PLR0913 - each is a choice of the operator
    connection: Connection,
    desired: Desired,
    author: Author,
    *,
    prune: bool = False,
    base: Revision | None = None,
    max_deletes: int | None = None,
    progress: Progress = _no_progress,
) -> Applied:
    """Apply the desired state of one namespace, as `apply_all` does."""
    [applied] = await apply_all(
        connection,
        [desired],
        author,
        prune=prune,
        bases={} if base is None else {desired.namespace: Base(revision=base)},
        max_deletes=max_deletes,
        progress=progress,
    )
    return applied


async def apply_all(  # noqa: PLR0913 - each is a choice of the operator
    connection: Connection,
    desired: Sequence[Desired],
    author: Author,
    *,
    prune: bool = False,
    bases: Mapping[str, Base] = MappingProxyType({}),
    max_deletes: int | None = None,
    allow_breaking: bool = True,
    progress: Progress = _no_progress,
) -> list[Applied]:
    """Apply the desired state of namespaces; delete missing records only with `prune`.

    `bases` holds the state of each namespace that a pinned plan was made for. Raises MovedError
    if one of them has changed since, TooManyDeletesError, BreakingError unless `allow_breaking`,
    and ManifestError if the whole registry could not be served; nothing is written then.
    """
    async with registry_transaction(connection):
        registry = await stored.read(connection, [state.namespace for state in desired])
        _refuse_moved(registry, bases)
        plans = await compare_all(connection, registry, desired, prune=prune)
        _refuse_other_changes(plans, bases)
        for plan in plans:
            refuse_many_deletes(registry, plan, max_deletes, hint=COMPLETE_FILE)
        if not allow_breaking:
            refuse_breaking(plans)
        revisions = {
            plan.namespace: await write(connection, plan, author, progress=progress)
            for plan in plans
            if plan.changes
        }
        newest = await store.newest(connection)
    return [
        Applied(
            namespace=plan.namespace,
            revision=(revision := revisions.get(plan.namespace, newest)).number,
            revision_uid=revision.uid,
            changes=plan.changes,
            left_alone=plan.left_alone,
        )
        for plan in plans
    ]


@asynccontextmanager
async def registry_transaction(connection: Connection) -> AsyncIterator[None]:
    """A transaction that changes the registry; a lock admits one at a time."""
    with paused_gc():
        async with connection.transaction():
            await connection.execute(SQL["lock"])
            yield


def _refuse_moved(registry: Stored, bases: Mapping[str, Base]) -> None:
    for namespace, base in bases.items():
        revision = registry.revision_of(namespace)
        if revision != base.revision:
            raise MovedError(
                f"the plan is out of date: it was made for revision {base.revision.number} of the "
                f"namespace {namespace}, which is now at {_other(revision, base.revision)}; "
                "run `gateway plan` again"
            )


def _other(revision: Revision, base: Revision) -> str:
    if revision.number == base.number:
        return f"another revision {revision.number} (another database, or one that went back)"
    return f"revision {revision.number}"


def _refuse_other_changes(plans: list[Plan], bases: Mapping[str, Base]) -> None:
    """Another database may be at the same revision and hold other records."""
    for plan in plans:
        base = bases.get(plan.namespace)
        if base and base.changes_digest not in {None, plan.digest}:
            raise MovedError(
                f"the plan was made for another registry: here the namespace {plan.namespace} "
                "holds other records; run `gateway plan` again"
            )


def refuse_many_deletes(
    registry: Stored, plan: Plan, max_deletes: int | None, *, hint: str
) -> None:
    """Refuse a plan that deletes more routes than allowed. Raises TooManyDeletesError."""
    routes = sum(
        key[0] == "route" and owner == plan.namespace for key, owner in registry.owners.items()
    )
    limit = max(FREE_DELETES, routes // FREE_ONE_IN) if max_deletes is None else max_deletes
    if plan.deletes > limit:
        raise TooManyDeletesError(
            f"nothing was changed: this would delete {plan.deletes} of the {routes} routes of the "
            f"namespace {plan.namespace}, and the limit is {limit}; {hint}, "
            f"or add --max-deletes {plan.deletes}"
        )


def refuse_breaking(plans: Sequence[Plan]) -> None:
    """Refuse plans that break callers. Raises BreakingError."""
    if any(plan.breaking() for plan in plans):
        raise BreakingError(plans)


async def write(
    connection: Connection,
    plan: Plan,
    author: Author,
    *,
    reverts_to: int | None = None,
    progress: Progress = _no_progress,
) -> Revision:
    """Write the changes as a new revision. Returns it."""
    [row] = await connection.fetch(
        SQL["add_revision"],
        *(plan.namespace, author.actor, author.message, author.source, reverts_to),
    )
    written = Revision(**row)
    revision = written.number
    await _delete(connection, plan.changes)
    for kind in KINDS:
        after = [(c.name, c.after) for c in plan.changes if c.kind == kind and c.after is not None]
        if kind == "route":
            await _put_schemas(connection, [record["params"] for _, record in after])
        for batch in batches(after):
            await _put(connection, kind, plan.namespace, batch, revision)
            progress(len(batch))
    await _rename_in_tokens(connection, plan.changes)
    for changes in batches(plan.changes):
        await connection.copy_records_to_table(
            "changes",
            schema_name="gateway",
            columns=["revision", "kind", "name", "namespace", "before", "after"],
            records=[_history(change, plan.namespace, revision) for change in changes],
        )
        progress(len(changes))
    await connection.execute(SQL["notify"], store.CHANNEL, str(revision))
    return written


def _history(change: Change, namespace: str, revision: int) -> tuple[Any, ...]:
    before, after = with_hash(change.before), with_hash(change.after)
    return revision, change.kind, change.name, namespace, before, after


async def _delete(connection: Connection, changes: list[Change]) -> None:
    for kind in reversed(KINDS):
        names = [c.name for c in changes if c.kind == kind and c.after is None]
        if names:
            await connection.execute(SQL[f"delete_{kind}s"], names)


async def _rename_in_tokens(connection: Connection, changes: list[Change]) -> None:
    """A renamed route breaks no caller, so tokens that covered the old name cover the new one."""
    pairs = [(old_name, name) for name, old_name in renames(changes).items()]
    if pairs:
        await connection.executemany(SQL["rename_in_tokens"], pairs)


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
    if kind == "application":
        applications = [
            (slug, namespace, record["title"], record["roles"], revision) for slug, record in batch
        ]
        await connection.executemany(SQL["put_application"], applications)
        return
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
