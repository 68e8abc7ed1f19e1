"""Read the registry from PostgreSQL into a table: completely, or only the changes."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from gateway.database.connect import Connection
from gateway.database.handle import Database
from gateway.database.slices import delete_slice
from gateway.database.sql import load_queries
from gateway.registry.records import (
    ApplicationRecord,
    Route,
    Service,
    application_from,
    route_from,
    service_from,
)
from gateway.registry.revision import EMPTY, Revision
from gateway.registry.schema import interned
from gateway.registry.table import Table

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

CHANNEL = "gateway_registry"
"""NOTIFY on this channel is a hint to look for a new revision; the database has its number."""

SLICE = 100
"""Routes built between two turns of the event loop: one or two milliseconds of work."""

RELEASE_INTERVAL = 1.0
"""Seconds between two checks whether an old table is still in use."""

WORKER_TIMEOUT = 10.0
"""Seconds for which a worker counts as alive after its last heartbeat."""

SILENT_TIMEOUT = 600.0
"""Seconds for which a silent worker may still serve: after them its machine counts as gone."""

MAX_CHANGES = 500
"""Changes that one catch-up copies into a table; with more it loads the whole registry."""


async def newest(connection: Connection) -> Revision:
    """The newest revision, `EMPTY` before the first."""
    row = await connection.fetchrow(_SQL["newest"])
    return Revision(**row) if row else EMPTY


async def has_revision(connection: Connection, revision: Revision) -> bool:
    """Whether a revision belongs to the database's history: not after the database went back."""
    if revision == EMPTY:
        return True
    belongs: bool = await connection.fetchval(_SQL["has_revision"], *revision)
    return belongs


async def load(connection: Connection) -> Table:
    """The complete newest revision, from one state of the database."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        revision = await newest(connection)
        table = Table(
            revision.number,
            await services(connection),
            applications=await applications(connection),
            revision_uid=revision.uid,
        )
        schemas = {}
        async for row in connection.cursor(_SQL["schemas"], prefetch=SLICE):
            schemas[row["hash"]] = interned(row["text"])
        routes = await connection.cursor(_SQL["routes"])
        while rows := await routes.fetch(SLICE):
            for row in rows:
                table.add(route_from(row["name"], row["record"], schemas[row["params"]]))
            _freeze_gc()
    return table


def _freeze_gc() -> None:
    """Exempt the objects just created from garbage collection.

    They live long, and scanning 100,000 routes takes a third of a second, in which no request is
    served. Young garbage is collected first; otherwise it would be exempt too.
    """
    gc.collect(1)
    gc.freeze()


async def release(table: Table) -> None:
    """Free a table that is no longer served, a few parts at a time and children last.

    Freeing it all at once takes a tenth of a second.
    """
    parts = table.parts()
    slices = []
    while part_slice := list(islice(parts, SLICE)):
        slices.append(part_slice)
        _freeze_gc()
        await asyncio.sleep(0)
    reference = weakref.ref(table)
    del table
    # Requests, or a snapshot being written, may still use it.
    while reference():  # noqa: ASYNC110 - no event says so
        await asyncio.sleep(RELEASE_INTERVAL)
    slices.reverse()
    while slices:
        slices.pop()
        await asyncio.sleep(0)


async def services(connection: Connection) -> list[Service]:
    """All services."""
    rows = await connection.fetch(_SQL["services"])
    return [service_from(row["name"], row["record"]) for row in rows]


async def applications(connection: Connection) -> list[ApplicationRecord]:
    """All applications."""
    rows = await connection.fetch(_SQL["applications"])
    return [application_from(row["slug"], row["record"]) for row in rows]


async def catch_up(connection: Connection, table: Table) -> Table:
    """The newest revision, built from an older table and the changes since."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        revision = await newest(connection)
        # A restored database may have another history, to which the old table does not belong.
        belongs = await has_revision(connection, table.identity)
        rows = await connection.fetch(_SQL["changes_since"], table.revision, MAX_CHANGES + 1)
    if not belongs or len(rows) > MAX_CHANGES:
        return await load(connection)
    changes = {
        kind: {row["name"]: build(row) for row in rows if row["kind"] == kind}
        for kind, build in _BUILDERS.items()
    }
    return table.with_changes(
        revision.number,
        services=changes["service"],
        routes=changes["route"],
        applications=changes["application"],
        revision_uid=revision.uid,
    )


def _application(row: Any) -> ApplicationRecord | None:  # noqa: ANN401 - an asyncpg record
    return None if row["after"] is None else application_from(row["name"], row["after"])


def _service(row: Any) -> Service | None:  # noqa: ANN401
    return None if row["after"] is None else service_from(row["name"], row["after"])


def _route(row: Any) -> Route | None:  # noqa: ANN401
    after = row["after"]
    return None if after is None else route_from(row["name"], after, interned(row["params"]))


_BUILDERS: dict[str, Callable[[Any], Any]] = {
    "application": _application,
    "service": _service,
    "route": _route,
}
"""By kind of record, the function that builds one from a row of changes."""


class Report(NamedTuple):
    """What a worker reports.

    `leaves` says that it takes no calls without the database; `backend` is the server process of
    its direct connection.
    """

    worker: UUID
    name: str
    revision: Revision
    problem: str | None
    leaves: bool
    backend: int | None


async def heartbeat(connection: Connection, report: Report) -> Revision:
    """Record that a worker is alive, and which revision it serves; return the newest one."""
    row = await connection.fetchrow(
        _SQL["heartbeat"],
        *(report.worker, report.name, *report.revision),
        *(report.problem, report.leaves, report.backend),
    )
    return Revision(**row) if row and row["number"] is not None else EMPTY


async def deregister(connection: Connection, worker: UUID) -> None:
    """Record that a worker has stopped."""
    await connection.execute(_SQL["deregister"], worker)


async def live_workers(connection: Connection) -> int:
    """The number of workers, on all machines, that have reported lately."""
    number: int = await connection.fetchval(_SQL["live_workers"], WORKER_TIMEOUT)
    return number


async def sweep(database: Database) -> bool:
    """Delete a slice of the rows of workers that died; return whether more may be left."""
    return await delete_slice(database, _SQL["sweep"])


async def late_workers(connection: Connection, revision: Revision) -> list[str]:
    """The workers that may not serve a revision yet, each with its problem."""
    rows = await connection.fetch(_SQL["late_workers"], *revision, WORKER_TIMEOUT, SILENT_TIMEOUT)
    return [_describe_late(**row) for row in rows]


def _describe_late(*, name: str, revision: int, trouble: str | None, silence: float | None) -> str:
    problems = [trouble] if trouble else []
    if silence is not None:
        problems.append(f"silent for {silence:.0f} s")
    return f"{name} at revision {revision}" + (f" ({', '.join(problems)})" if problems else "")
