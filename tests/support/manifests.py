"""Small manifests, applied to a database that may be held up meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from gateway.database.connect import Connection, connect
from gateway.database.migrate import find_all, migrate
from gateway.manifest.apply import Applied, Author, apply
from gateway.manifest.check import Desired, check
from support.harness import execute, on

Routes: TypeAlias = dict[str, dict[str, Any]]
"""Routes by name; each says how it differs from a usual one."""

USUAL = {"method": "POST", "deployed": True, "title": "T", "auth": ["application"], "params": {}}


def desired(folder: Path, routes: Routes, namespace: str = "test") -> Desired:
    """What a manifest of these routes desires."""
    services = {name.partition(".")[0] for name in routes}
    document = {
        "version": 1,
        "namespace": namespace,
        "services": {
            name: {"kind": "python", "deployed": True, "title": name} for name in sorted(services)
        },
        "routes": {name: {**USUAL, **given} for name, given in routes.items()},
    }
    file = folder / f"{namespace}.yaml"
    file.write_bytes(orjson.dumps(document))  # JSON is YAML
    [made] = check(file)
    return made


async def migrated(url: str) -> None:
    """Give a database its tables."""
    await on(url, lambda db: migrate(db, find_all()))


async def wipe(connection: Connection) -> None:
    """Leave an empty registry, as migrations do."""
    for table in ("workers", "changes", "routes", "services", "schemas", "revisions"):
        await connection.execute(f"delete from gateway.{table}")


async def applied(url: str, what: Desired, **options: Any) -> Applied:
    """Apply on a connection of its own."""
    author = Author(options.pop("actor", "tests"), options.pop("message", ""))
    done: Applied = await on(url, lambda db: apply(db, what, author, **options))
    return done


async def stored(url: str) -> dict[str, Any]:
    """All that an apply writes, as it is in the database."""
    tables = {
        "revisions": (
            "select id, namespace, applied_by, message, source, reverts_to from gateway.revisions"
        ),
        "changes": "select concat(revision, kind, name), * from gateway.changes",
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
    """Hold a lock on a table for the length of the block."""
    connection = await connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"lock table {table} in {mode} mode")
            yield
    finally:
        await connection.close()
