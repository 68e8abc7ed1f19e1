"""The plan: what an apply would change. `apply` writes exactly this."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from gateway.database.connect import Connection
from gateway.manifest import stored
from gateway.manifest.breaking import breakages
from gateway.manifest.bulk import paused_gc
from gateway.manifest.change import Change, Key, Record, Records, compare
from gateway.manifest.check import Desired, RouteRecord, different_code, unknown_application
from gateway.manifest.read import Diagnostic, ManifestError
from gateway.manifest.stored import Stored, with_hash
from gateway.registry import paths
from gateway.registry.records import route_from, service_from
from gateway.registry.schema import ParamSchema, SchemaError
from gateway.registry.table import ClashError
from gateway.runtime.errors import OperatorError

FORMAT = 3


class MovedError(OperatorError):
    """The registry has changed since a pinned plan was made."""


class PlanFileError(ValueError):
    """A file is not a pinned plan that can be applied; the text says why."""


@dataclass(frozen=True, slots=True)
class Base:
    """The state that a plan was made for: its namespace's revision.

    A pinned plan also has the digest of its changes.
    """

    revision: int
    changes_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that lead a namespace from its revision `base` to the desired state.

    `left_alone` names the records that are missing from the manifest and that only prune would
    delete.
    """

    namespace: str
    base: int
    changes: list[Change]
    left_alone: list[str] = field(default_factory=list)

    @property
    def deletes(self) -> int:
        """The number of routes that the plan deletes."""
        return sum(change.verb == "delete" and change.kind == "route" for change in self.changes)

    @property
    def digest(self) -> str:
        """A SHA-256 of the changes; equal changes have equal digests."""
        changes = [[c.kind, c.name, with_hash(c.before), with_hash(c.after)] for c in self.changes]
        return _digest({"changes": changes})

    def breaking(self) -> list[tuple[Change, list[str]]]:
        """The changes that break callers, and how."""
        return [(change, phrases) for change in self.changes if (phrases := breakages(change))]

    def as_object(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "namespace": self.namespace,
            "base": self.base,
            "changes": [change.as_object() for change in self.changes],
            "breaking": [
                {"kind": change.kind, "name": change.name, "breaks": phrases}
                for change, phrases in self.breaking()
            ],
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
    connection: Connection, registry: Stored, desired: Iterable[Desired], *, prune: bool
) -> list[Plan]:
    """One plan for each namespace. Raises ManifestError as `plan` does."""
    plans = [_plan(registry, state, prune=prune) for state in desired]
    conflicts = await possible_conflicts(connection, plans)
    diagnostics = [diagnostic for plan in plans for diagnostic in _foreign_records(conflicts, plan)]
    if diagnostics:
        raise ManifestError(diagnostics)
    refuse_unservable(conflicts, plans)
    return plans


async def possible_conflicts(connection: Connection, plans: list[Plan]) -> Stored:
    """The part of the registry that these plans could make unservable."""
    changes = [change for plan in plans for change in plan.changes]
    return await stored.possible_conflicts(connection, changes)


def _plan(registry: Stored, desired: Desired, *, prune: bool) -> Plan:
    changes = compare(registry.records_of(desired.namespace), records_of(desired))
    return Plan(
        namespace=desired.namespace,
        base=registry.revision_of(desired.namespace),
        changes=[change for change in changes if change.verb != "delete" or prune],
        left_alone=[change.name for change in changes if change.verb == "delete" and not prune],
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


def refuse_unservable(conflicts: Stored, plans: list[Plan]) -> None:
    """Check the plans against possible conflicts. Raises ManifestError.

    The registry never stores a state that workers cannot serve.
    """
    changes = [change for plan in plans for change in plan.changes]
    after = conflicts.records_after(changes) if changes else {}
    changed = {(change.kind, change.name) for change in changes}
    diagnostics = [
        *_unservable(after, changed),
        *_different_codes(after),
        *_unknown_applications(after, conflicts.slugs_after(changes)),
    ]
    if diagnostics:
        raise ManifestError(diagnostics)


def _foreign_records(registry: Stored, plan: Plan) -> Iterator[Diagnostic]:
    for change in plan.changes:
        owner = registry.owners.get((change.kind, change.name), plan.namespace)
        if owner != plan.namespace:
            yield Diagnostic(
                file=plan.namespace,
                path=f"{change.kind}s: {change.name}",
                message=f"belongs to the namespace {owner}",
            )


def _unservable(records: dict[Key, Record], changed: set[Key]) -> Iterator[Diagnostic]:
    """Records that no table could hold. Unchanged schemas have been compiled before."""
    services = {name for kind, name in records if kind == "service"}
    shapes: dict[tuple[str, str], str] = {}
    for (kind, name), record in records.items():
        if kind == "service":
            service_from(name, record)
        if kind != "route":
            continue
        message = _compile_error(name, record) if (kind, name) in changed else None
        service = record["handler"].partition(".")[0]
        shape = (record["method"], paths.shape(record["path"]))
        if not message and shapes.setdefault(shape, name) != name:
            message = str(ClashError(name, shapes[shape]))
        if not message and service not in services:
            message = f"its service {service} would be deleted"
        if message:
            yield Diagnostic(file="registry", path=f"routes: {name}", message=message)


def _compile_error(name: str, record: Record) -> str | None:
    try:
        route_from(name, record, _compiled(record["params"]))
    except SchemaError as error:
        return str(error)
    return None


@lru_cache(maxsize=4096)
def _compiled(text: str) -> ParamSchema:
    """A compiled schema, cached for the next route with equal params. Raises SchemaError."""
    schema = ParamSchema(text)
    schema.compile()
    return schema


def _different_codes(records: dict[Key, Record]) -> Iterator[Diagnostic]:
    """Slugs with two HTTP codes across manifests; one manifest's check cannot find them."""
    codes: dict[str, int] = {}
    for (_, name), record in records.items():
        for slug, status in record.get("statuses", {}).items():
            code = codes.setdefault(slug, status["http"])
            if code != status["http"]:
                yield Diagnostic(
                    file="registry",
                    path=f"routes: {name}: statuses: {slug}",
                    message=different_code(status["http"], code),
                )


def _unknown_applications(
    records: dict[Key, Record], slugs: frozenset[str]
) -> Iterator[Diagnostic]:
    """Roles of an application that neither the manifest nor the registry has."""
    for (kind, name), record in records.items():
        for slug in record["roles"] or () if kind == "route" else ():
            if slug not in slugs:
                yield Diagnostic(
                    file="registry",
                    path=f"routes: {name}: roles",
                    message=unknown_application(slug, slugs),
                )


def to_file(plans: list[Plan], desired: list[Desired], *, prune: bool) -> dict[str, Any]:
    """A pinned plan as JSON: the desired state, the base of each namespace, and a checksum."""
    content = {
        "prune": prune,
        "bases": {plan.namespace: [plan.base, plan.digest] for plan in plans},
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
            namespace: Base(revision=revision, changes_digest=changes_digest)
            for namespace, (revision, changes_digest) in document["bases"].items()
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
