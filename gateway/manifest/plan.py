"""The plan: what an apply would change. `apply` writes exactly this."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from gateway.database.connect import Connection
from gateway.manifest import servable
from gateway.manifest.bulk import paused_gc
from gateway.manifest.check import Desired, RouteRecord
from gateway.manifest.records import breaking, stored
from gateway.manifest.records.change import (
    Change,
    Key,
    Record,
    Records,
    compare,
    renames,
    with_renames,
)
from gateway.manifest.records.stored import Stored, with_hash
from gateway.registry.revision import Revision
from gateway.runtime.errors import OperatorError

FORMAT = 4


class MovedError(OperatorError):
    """The registry has changed since a pinned plan was made."""


class PlanFileError(ValueError):
    """A file is not a pinned plan that can be applied; the text says why."""


@dataclass(frozen=True, slots=True)
class Base:
    """The state that a plan was made for: its namespace's revision.

    A pinned plan also has the digest of its changes.
    """

    revision: Revision
    changes_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that lead a namespace from its revision `base` to the desired state.

    `left_alone` names the records that are missing from the manifest and that only prune would
    delete.
    """

    namespace: str
    base: Revision
    changes: list[Change]
    left_alone: list[str] = field(default_factory=list)

    @property
    def steps(self) -> list[Change]:
        """The changes as people read them: a renamed route is one change."""
        return with_renames(self.changes)

    @property
    def deletes(self) -> int:
        """The number of routes that the plan deletes, without those that it renames."""
        return sum(change.verb == "delete" and change.kind == "route" for change in self.steps)

    @property
    def digest(self) -> str:
        """A SHA-256 of the changes; equal changes have equal digests."""
        changes = [[c.kind, c.name, with_hash(c.before), with_hash(c.after)] for c in self.changes]
        return _digest({"changes": changes})

    def breaking(self) -> list[tuple[Change, list[str]]]:
        """The changes that break callers, and how."""
        return breaking.breaking(self.steps)

    def as_object(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "namespace": self.namespace,
            "base": self.base.number,
            "base_uid": self.base.uid,
            "changes": [change.as_object() for change in self.steps],
            "breaking": breaking.as_object(self.breaking()),
            "left_alone": self.left_alone,
        }


async def plan(connection: Connection, desired: Sequence[Desired], *, prune: bool) -> list[Plan]:
    """What an apply would change, from one state of the registry.

    Raises ManifestError if the whole registry could not be served after it.
    """
    with paused_gc():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            namespaces = [state.namespace for state in desired]
            registry = await stored.read(connection, namespaces)
            return await compare_all(connection, registry, desired, prune=prune)


async def compare_all(
    connection: Connection, registry: Stored, desired: Sequence[Desired], *, prune: bool
) -> list[Plan]:
    """One plan for each namespace. Raises ManifestError as `plan` does."""
    plans = [_plan(registry, state, prune=prune) for state in desired]
    conflicts = await possible_conflicts(connection, plans)
    sources = servable.Sources(desired)
    for plan in plans:
        servable.refuse_foreign(conflicts, plan.namespace, plan.changes, sources)
    servable.refuse_unservable(conflicts, changes_of(plans), sources)
    return plans


def changes_of(plans: Iterable[Plan]) -> list[Change]:
    """The changes of several plans."""
    return [change for plan in plans for change in plan.changes]


async def possible_conflicts(connection: Connection, plans: list[Plan]) -> Stored:
    """The part of the registry that these plans could make unservable."""
    return await stored.possible_conflicts(connection, changes_of(plans))


def _plan(registry: Stored, desired: Desired, *, prune: bool) -> Plan:
    changes = compare(registry.records_of(desired.namespace), records_of(desired))
    # A renamed route is not left out of the manifest.
    renamed = set(renames(changes).values())
    kept = [] if prune else [c for c in changes if c.after is None and c.name not in renamed]
    left_alone = {(change.kind, change.name) for change in kept}
    return Plan(
        namespace=desired.namespace,
        base=registry.revision_of(desired.namespace),
        changes=[change for change in changes if (change.kind, change.name) not in left_alone],
        left_alone=[change.name for change in kept],
    )


def records_of(desired: Desired) -> Records:
    """The records that a manifest describes."""
    records: dict[Key, Record] = {}
    for slug, application in desired.applications.items():
        records["application", slug] = application
    for name, service in desired.services.items():
        records["service", name] = service
    for name, route in desired.routes.items():
        records["route", name] = {**route.record, "params": route.params}
    return records


def to_file(plans: list[Plan], desired: list[Desired], *, prune: bool) -> dict[str, Any]:
    """A pinned plan as JSON: the desired state, the base of each namespace, and a checksum."""
    content = {
        "prune": prune,
        "bases": {plan.namespace: [*_base(plan), plan.digest] for plan in plans},
        "desired": [
            {
                "namespace": state.namespace,
                "applications": state.applications,
                "services": state.services,
                "routes": {name: [r.record, r.params] for name, r in state.routes.items()},
            }
            for state in desired
        ],
    }
    return {"format": FORMAT, "sha256": _digest(content), **content}


def _base(plan: Plan) -> tuple[int, str | None]:
    number, uid = plan.base
    return number, str(uid) if uid else None


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def from_file(document: Any) -> tuple[list[Desired], dict[str, Base], bool]:  # noqa: ANN401
    """The desired state, the bases and the prune flag of a pinned plan.

    Raises PlanFileError, also if the plan was edited: only the reviewed plan may be applied.
    """
    try:
        _refuse_changed_file(document)
        desired = [_desired(state) for state in document["desired"]]
        bases = {
            namespace: Base(
                revision=Revision(number=number, uid=uid and UUID(uid)),
                changes_digest=changes_digest,
            )
            for namespace, (number, uid, changes_digest) in document["bases"].items()
        }
        return desired, bases, document["prune"]
    except PlanFileError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlanFileError("is not a plan of `gateway plan -o`") from error


def _refuse_changed_file(document: Any) -> None:  # noqa: ANN401
    content = {**document}
    if content.pop("format") != FORMAT:
        raise PlanFileError("has another version's plan format; run `gateway plan -o` again")
    if content.pop("sha256") != _digest(content):
        raise PlanFileError("was edited after it was planned; run `gateway plan -o` again")


def _desired(state: dict[str, Any]) -> Desired:
    return Desired(
        namespace=state["namespace"],
        applications=state["applications"],
        services=state["services"],
        routes={
            name: RouteRecord(record=record, params=params)
            for name, (record, params) in state["routes"].items()
        },
    )
