"""Small manifests, applied to a database, and locks that delay an apply."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from gateway.database.connect import Connection, connect
from gateway.database.migrate import find_all, migrate
from gateway.manifest.apply import Applied, Author, apply
from gateway.manifest.check import Desired, check
from support.harness import ROOT, execute, on

Routes: TypeAlias = dict[str, dict[str, Any]]
"""Routes by name; each lists only its differences from `USUAL`."""

USUAL = {"method": "POST", "deployed": True, "title": "T", "auth": ["application"], "params": {}}


def desired(folder: Path, routes: Routes, namespace: str = "test") -> Desired:
    """The desired state of a manifest with these routes."""
    services = {name.partition(".")[0] for name in routes}
    document = {
        "version": 1,
        "namespace": namespace,
        "services": {
            name: {"kind": "python", "deployed": True, "title": name} for name in sorted(services)
        },
        "routes": {name: {**USUAL, **fields} for name, fields in routes.items()},
    }
    file = folder / f"{namespace}.yaml"
    file.write_bytes(orjson.dumps(document))  # JSON is YAML
    [state] = check(file)
    return state


async def migrated(url: str) -> None:
    """Create the tables in a database."""
    await on(url, lambda db: migrate(db, find_all()))


TABLES = ("workers", "changes", "routes", "services", "schemas", "applications", "revisions")


async def wipe(connection: Connection) -> None:
    """Empty the registry, as it is after the migrations."""
    for table in TABLES:
        await connection.execute(f"delete from gateway.{table}")


async def applied(url: str, state: Desired, **options: Any) -> Applied:
    """Apply on a new connection."""
    author = Author(options.pop("actor", "tests"), options.pop("message", ""))
    outcome: Applied = await on(url, lambda db: apply(db, state, author, **options))
    return outcome


async def set_events(url: str, events: dict[str, dict[str, str]]) -> None:
    """Apply this project's manifest with other events in the settings of order_stages."""
    [state] = check(ROOT / "routes.yaml")
    service = state.services["order_stages"]
    service["settings"] = {**service["settings"], "events": events}
    await applied(url, state)


async def stored(url: str) -> dict[str, Any]:
    """Every row that an apply writes, by table and key."""
    tables = {
        "revisions": (
            "select id, namespace, applied_by, message, source, reverts_to from gateway.revisions"
        ),
        "changes": "select concat(revision, kind, name), * from gateway.changes",
        "applications": "select slug, * from gateway.applications",
        "services": "select * from gateway.services",
        "routes": "select * from gateway.routes",
        "schemas": "select * from gateway.schemas",
    }
    return {
        name: {row[0]: dict(row) for row in await execute(url, f"{query} order by 1")}
        for name, query in tables.items()
    }


@asynccontextmanager
async def locked(url: str, table: str, mode: str = "access exclusive") -> AsyncIterator[None]:
    """Hold a lock on a table during the block."""
    connection = await connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"lock table {table} in {mode} mode")
            yield
    finally:
        await connection.close()


KEPT = tuple(table for table in reversed(TABLES) if table != "workers")
"""The tables of `keep` and `restore`, a table before those that refer to it."""


async def keep(connection: Connection) -> None:
    """Copy the registry's rows, for `restore`."""
    await connection.execute("create schema kept")
    for table in KEPT:
        await connection.execute(f"create table kept.{table} as table gateway.{table}")


async def restore(connection: Connection) -> None:
    """Put back the rows of `keep`, as a restore or a replica that lost commits has them."""
    for table in reversed(KEPT):
        await connection.execute(f"delete from gateway.{table}")
    for table in KEPT:
        await connection.execute(f"insert into gateway.{table} select * from kept.{table}")
