"""Read the registry from PostgreSQL into a table: whole, or what changed since."""

import asyncio
import gc
import weakref
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.registry.records import Route, Service, route_from, service_from
from gateway.registry.schema import interned
from gateway.registry.table import Table

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

CHANNEL = "gateway_registry"
"""NOTIFY on this channel is a hint that there is a new revision; its number is the truth."""

SLICE = 100
"""Routes that are made between two turns of the event loop: one or two milliseconds."""

RELEASE_INTERVAL = 1.0
"""Seconds between two looks whether somebody still holds an old table."""

WORKER_TIMEOUT = 10.0
"""Seconds for which a worker counts as alive after it last said so."""

MAX_CHANGES = 500
"""Changes that are copied into a table in one go; more of them are a build from the start."""


async def newest(connection: Connection) -> int:
    """The number of the newest revision; 0 before the first."""
    revision: int = await connection.fetchval(_SQL["newest"])
    return revision


async def load(connection: Connection) -> Table:
    """The newest revision, whole: one snapshot, however many applies are under way."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        table = Table(await newest(connection), await services(connection))
        schemas = {}
        async for row in connection.cursor(_SQL["schemas"], prefetch=SLICE):
            schemas[row["hash"]] = interned(row["text"])
        routes = await connection.cursor(_SQL["routes"])
        while rows := await routes.fetch(SLICE):
            for row in rows:
                table.add(route_from(row["name"], row["record"], schemas[row["params"]]))
            _keep()
    return table


def _keep() -> None:
    """Let the garbage collector never look again at what was just made.

    It lives long, and looking at a hundred thousand routes takes a third of a second, in which no
    request is served. Young garbage is collected before, or it would be kept too.
    """
    gc.collect(1)
    gc.freeze()


async def release(table: Table) -> None:
    """Let go of a table that is served no more, outermost parts first, a few at a time.

    To let it fall apart all at once takes a tenth of a second.
    """
    parts = table.parts()
    held = []
    while some := list(islice(parts, SLICE)):
        held.append(some)
        _keep()
        await asyncio.sleep(0)
    gone = weakref.ref(table)
    del table
    # Requests and the writing of snapshots may hold it still.
    while gone():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(RELEASE_INTERVAL)
    held.reverse()
    while held:
        held.pop()
        await asyncio.sleep(0)


async def services(connection: Connection) -> list[Service]:
    """All services."""
    rows = await connection.fetch(_SQL["services"])
    return [service_from(row["name"], row["record"]) for row in rows]


async def catch_up(connection: Connection, table: Table) -> Table:
    """The newest revision, made of an older table and of what changed since."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        revision = await newest(connection)
        rows = await connection.fetch(_SQL["changes_since"], table.revision, MAX_CHANGES + 1)
    # A database that was set back has another history, of which the old table is no part.
    if revision < table.revision or len(rows) > MAX_CHANGES:
        return await load(connection)
    changed_services = {row["name"]: _service(row) for row in rows if row["kind"] == "service"}
    changed_routes = {row["name"]: _route(row) for row in rows if row["kind"] == "route"}
    return table.changed(revision, changed_services, changed_routes)


def _service(row: Any) -> Service | None:  # noqa: ANN401 - an asyncpg record
    return None if row["after"] is None else service_from(row["name"], row["after"])


def _route(row: Any) -> Route | None:  # noqa: ANN401
    after = row["after"]
    return None if after is None else route_from(row["name"], after, interned(row["params"]))


async def heartbeat(
    connection: Connection, worker: UUID, name: str, revision: int, problem: str | None
) -> None:
    """Note that a worker lives, and which revision it serves."""
    await connection.execute(_SQL["heartbeat"], worker, name, revision, problem)


async def deregister(connection: Connection, worker: UUID) -> None:
    """Note that a worker has stopped."""
    await connection.execute(_SQL["deregister"], worker)


async def late_workers(connection: Connection, revision: int) -> list[str]:
    """The live workers that do not serve a revision yet, with what ails them."""
    rows = await connection.fetch(_SQL["late_workers"], revision, WORKER_TIMEOUT)
    return [
        f"{row['name']} at revision {row['revision']}"
        + (f" ({row['trouble']})" if row["trouble"] else "")
        for row in rows
    ]
