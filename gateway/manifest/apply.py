"""Apply a manifest: compare it with the registry and write the difference, in one transaction."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gateway.database.pool import Connection
from gateway.database.sql import load_queries
from gateway.manifest.check import Desired, RouteRecord
from gateway.manifest.read import Fault, ManifestError
from gateway.registry import store
from gateway.registry.records import route_from, service_from
from gateway.registry.table import ClashError, Table
from gateway.schema import interned

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

Kind = Literal["service", "route"]
Verb = Literal["add", "change", "delete"]


@dataclass(frozen=True, slots=True)
class Change:
    """One record that differs. `before` is None for an addition, `after` for a deletion."""

    verb: Verb
    kind: Kind
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    def fields(self) -> Iterator[tuple[str, Any, Any]]:
        """The fields that differ: (name, before, after)."""
        before, after = self.before or {}, self.after or {}
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield name, before.get(name), after.get(name)


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did. `revision` is the registry's newest, also where nothing changed.

    `left_alone` names the records that the manifest no longer has and that only prune deletes.
    """

    revision: int
    changes: list[Change]
    left_alone: list[str]


@dataclass(frozen=True, slots=True)
class _Stored:
    """The registry as it is: (kind, name) → (namespace, record with the schema as `params`)."""

    records: dict[tuple[Kind, str], tuple[str, dict[str, Any]]]

    def of(self, namespace: str) -> dict[tuple[Kind, str], dict[str, Any]]:
        return {key: record for key, (owner, record) in self.records.items() if owner == namespace}


async def apply(
    connection: Connection,
    desired: Desired,
    *,
    actor: str,
    message: str = "",
    prune: bool = False,
) -> Applied:
    """Make the namespace hold what is desired; records it leaves out go only with `prune`.

    Raises ManifestError if the whole registry could not be served then; nothing is written.
    """
    async with connection.transaction():
        await connection.execute(_SQL["lock"])
        stored = await _stored(connection)
        wanted = _records(desired)
        changes = list(_changes(stored.of(desired.namespace), wanted))
        left_alone = [change.name for change in changes if change.verb == "delete" and not prune]
        changes = [change for change in changes if change.verb != "delete" or prune]
        _refuse_unservable(stored, desired.namespace, changes)
        if changes:
            await _write(connection, desired.namespace, changes, actor, message)
        revision = await store.newest(connection)
    return Applied(revision, changes, left_alone)


async def _stored(connection: Connection) -> _Stored:
    records: dict[tuple[Kind, str], tuple[str, dict[str, Any]]] = {}
    for row in await connection.fetch(_SQL["services"]):
        records["service", row["name"]] = (row["namespace"], row["record"])
    for row in await connection.fetch(_SQL["routes"]):
        records["route", row["name"]] = (
            row["namespace"],
            {**row["record"], "params": row["params"]},
        )
    return _Stored(records)


def _records(desired: Desired) -> dict[tuple[Kind, str], dict[str, Any]]:
    services = {("service", name): record for name, record in desired.services.items()}
    routes = {("route", name): _whole(route) for name, route in desired.routes.items()}
    return {**services, **routes}  # type: ignore[dict-item]


def _whole(route: RouteRecord) -> dict[str, Any]:
    return {**route.record, "params": route.params}


def _changes(
    before: Mapping[tuple[Kind, str], dict[str, Any]],
    after: Mapping[tuple[Kind, str], dict[str, Any]],
) -> Iterator[Change]:
    for kind, name in sorted(before.keys() | after.keys()):
        old, new = before.get((kind, name)), after.get((kind, name))
        if old == new:
            continue
        verb: Verb = "change" if old and new else "add" if new else "delete"
        yield Change(verb, kind, name, old, new)


def _refuse_unservable(stored: _Stored, namespace: str, changes: list[Change]) -> None:
    """Build the table that workers would build: what is stored can always be served."""
    faults = [
        Fault(namespace, 0, f"{change.kind}s: {change.name}", f"belongs to namespace {owner}")
        for change in changes
        if (owner := stored.records.get((change.kind, change.name), (namespace,))[0]) != namespace
    ]
    if not faults:
        records = {key: record for key, (_, record) in stored.records.items()}
        for change in changes:
            records.pop((change.kind, change.name), None)
            if change.after:
                records[change.kind, change.name] = change.after
        faults = list(_unservable(namespace, records))
    if faults:
        raise ManifestError(faults)


def _unservable(namespace: str, records: dict[tuple[Kind, str], dict[str, Any]]) -> Iterable[Fault]:
    try:
        Table(
            0,
            [service_from(name, rec) for (kind, name), rec in records.items() if kind == "service"],
            [
                route_from(name, rec, interned(rec["params"]))
                for (kind, name), rec in records.items()
                if kind == "route"
            ],
        )
    except ClashError as error:
        yield Fault(namespace, 0, "routes", str(error))


async def _write(
    connection: Connection, namespace: str, changes: list[Change], actor: str, message: str
) -> None:
    told = [{"verb": c.verb, "kind": c.kind, "name": c.name} for c in changes]
    revision = await connection.fetchval(_SQL["add_revision"], namespace, actor, message, told)
    deleted = [change for change in changes if change.verb == "delete"]
    for kind, query in (("route", "delete_routes"), ("service", "delete_services")):
        names = [change.name for change in deleted if change.kind == kind]
        await connection.execute(_SQL[query], names)
    for change in changes:
        if change.after is not None:
            await _put(connection, change.kind, change.name, change.after, namespace, revision)
    await connection.execute(_SQL["delete_unused_schemas"])
    await connection.execute(_SQL["notify"], store.CHANNEL, str(revision))


async def _put(
    connection: Connection,
    kind: Kind,
    name: str,
    after: dict[str, Any],
    namespace: str,
    revision: int,
) -> None:
    if kind == "service":
        await connection.execute(_SQL["put_service"], name, namespace, after, revision)
        return
    record = {key: value for key, value in after.items() if key != "params"}
    digest = hashlib.sha256(after["params"].encode()).digest()
    await connection.execute(_SQL["put_schema"], digest, after["params"])
    await connection.execute(_SQL["put_route"], name, namespace, record, digest, revision)
