"""What an apply would change. Applying is this, written down."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from gateway.database.connect import Connection
from gateway.manifest import stored
from gateway.manifest.breaking import breaks
from gateway.manifest.bulk import without_collection
from gateway.manifest.change import Change, Key, Record, Records, compare
from gateway.manifest.check import Desired, RouteRecord
from gateway.manifest.read import Diagnostic, ManifestError
from gateway.manifest.stored import Stored, with_hash
from gateway.registry import paths
from gateway.registry.records import route_from, service_from
from gateway.registry.schema import ParamSchema, SchemaError
from gateway.registry.table import ClashError

FORMAT = 2


class MovedError(Exception):
    """The registry is no longer what a pinned plan was made for."""


@dataclass(frozen=True, slots=True)
class Base:
    """What a plan was made for: its namespace's revision and, if it is pinned, its changes."""

    revision: int
    changes: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that bring a namespace from its revision `base` to what is desired.

    `left_alone` are the records that the manifest leaves out and that only prune would delete.
    """

    namespace: str
    base: int
    changes: list[Change]
    left_alone: list[str] = field(default_factory=list)

    @property
    def deletes(self) -> int:
        """How many routes would go."""
        return sum(change.verb == "delete" and change.kind == "route" for change in self.changes)

    @property
    def digest(self) -> str:
        """What tells its changes from others."""
        changes = [[c.kind, c.name, with_hash(c.before), with_hash(c.after)] for c in self.changes]
        return _digest({"changes": changes})

    def breaking(self) -> list[tuple[Change, list[str]]]:
        """The changes that break callers, and how."""
        return [(change, found) for change in self.changes if (found := breaks(change))]

    def as_object(self) -> dict[str, Any]:
        """For programs."""
        return {
            "namespace": self.namespace,
            "base": self.base,
            "changes": [change.as_object() for change in self.changes],
            "breaking": [
                {"kind": change.kind, "name": change.name, "breaks": found}
                for change, found in self.breaking()
            ],
            "left_alone": self.left_alone,
        }


async def plan(connection: Connection, desired: Sequence[Desired], *, prune: bool) -> list[Plan]:
    """What applying would change, of one state of the registry.

    Raises ManifestError if the whole registry could not be served then.
    """
    with without_collection():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            registry = await stored.read(connection, [each.namespace for each in desired])
            return await compare_all(connection, registry, desired, prune=prune)


async def compare_all(
    connection: Connection, registry: Stored, desired: Iterable[Desired], *, prune: bool
) -> list[Plan]:
    """One plan for each namespace. Raises ManifestError as `plan` does."""
    plans = [_plan(registry, each, prune=prune) for each in desired]
    near = await neighbours(connection, plans)
    taken = [diagnostic for each in plans for diagnostic in _taken(near, each)]
    if taken:
        raise ManifestError(taken)
    refuse_unservable(near, plans)
    return plans


async def neighbours(connection: Connection, plans: list[Plan]) -> Stored:
    """The part of the registry that could not be served any more with these plans."""
    return await stored.neighbours(connection, [c for each in plans for c in each.changes])


def _plan(registry: Stored, desired: Desired, *, prune: bool) -> Plan:
    changes = compare(registry.of(desired.namespace), records(desired))
    left_alone = [change.name for change in changes if change.verb == "delete" and not prune]
    kept = [change for change in changes if change.verb != "delete" or prune]
    return Plan(desired.namespace, registry.base(desired.namespace), kept, left_alone)


def records(desired: Desired) -> Records:
    """The records that a manifest asks for."""
    found: dict[Key, Record] = {}
    for name, service in desired.services.items():
        found["service", name] = service
    for name, route in desired.routes.items():
        found["route", name] = {**route.record, "params": route.params}
    return found


def refuse_unservable(registry: Stored, plans: list[Plan]) -> None:
    """Hold the plans against their neighbours: what is stored can always be served."""
    changes = [change for each in plans for change in each.changes]
    after = registry.after(changes) if changes else {}
    changed = {(change.kind, change.name) for change in changes}
    diagnostics = [*_unservable(after, changed), *_two_codes(after)]
    if diagnostics:
        raise ManifestError(diagnostics)


def _taken(registry: Stored, plan: Plan) -> Iterator[Diagnostic]:
    for change in plan.changes:
        owner = registry.owners.get((change.kind, change.name), plan.namespace)
        if owner != plan.namespace:
            place = f"{change.kind}s: {change.name}"
            yield Diagnostic(plan.namespace, 0, place, f"belongs to the namespace {owner}")


def _unservable(records: dict[Key, Record], changed: set[Key]) -> Iterator[Diagnostic]:
    """What no table could be built of; records that do not change could be compiled before."""
    services = {name for kind, name in records if kind == "service"}
    shapes: dict[tuple[str, str], str] = {}
    for (kind, name), record in records.items():
        if kind == "service":
            service_from(name, record)
            continue
        message = _uncompilable(name, record) if (kind, name) in changed else None
        service = record["handler"].partition(".")[0]
        shape = (record["method"], paths.shape(record["path"]))
        if not message and shapes.setdefault(shape, name) != name:
            message = str(ClashError(name, shapes[shape]))
        if not message and service not in services:
            message = f"its service {service} would be gone"
        if message:
            yield Diagnostic("registry", 0, f"routes: {name}", message)


def _uncompilable(name: str, record: Record) -> str | None:
    try:
        route_from(name, record, _compiled(record["params"]))
    except SchemaError as error:
        return str(error)
    return None


@lru_cache(maxsize=4096)
def _compiled(text: str) -> ParamSchema:
    """Kept for the next route that has the same params. Raises SchemaError."""
    schema = ParamSchema(text)
    schema.compile()
    return schema


def _two_codes(records: dict[Key, Record]) -> Iterator[Diagnostic]:
    """Routes of several manifests may disagree, which no manifest's check can see."""
    codes: dict[str, int] = {}
    for (_, name), record in records.items():
        for slug, status in record.get("statuses", {}).items():
            code = codes.setdefault(slug, status["http"])
            if code != status["http"]:
                message = f"a slug has one HTTP code everywhere, and another route says {code}"
                yield Diagnostic("registry", 0, f"routes: {name}: statuses: {slug}", message)


def to_file(plans: list[Plan], desired: list[Desired], *, prune: bool) -> dict[str, Any]:
    """A pinned plan: what is desired, what it was compared with, and what would change."""
    content = {
        "prune": prune,
        "bases": {each.namespace: [each.base, each.digest] for each in plans},
        "desired": [
            {
                "namespace": each.namespace,
                "services": each.services,
                "routes": {name: [r.record, r.params] for name, r in each.routes.items()},
            }
            for each in desired
        ],
    }
    return {"format": FORMAT, "sha256": _digest(content), **content}


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def from_file(document: Any) -> tuple[list[Desired], dict[str, Base], bool]:  # noqa: ANN401
    """What is desired, the bases and whether to prune.

    Raises ValueError if it is no plan, or was edited: what is applied is what was reviewed.
    """
    try:
        content = {**document}
        if content.pop("format") != FORMAT:
            raise ValueError("is a plan of another version")
        if content.pop("sha256") != _digest(content):
            raise ValueError("was edited after it was made: plan again")
        desired = [
            Desired(
                each["namespace"],
                each["services"],
                {name: RouteRecord(*route) for name, route in each["routes"].items()},
            )
            for each in document["desired"]
        ]
        bases = {namespace: Base(*base) for namespace, base in document["bases"].items()}
        return desired, bases, document["prune"]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("is not a plan of `gateway plan -o`") from error
