"""The database of a run: a PostgreSQL of its own that flushes each commit, with the demo data."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.machine import on_the_last_core
from gateway.database.connect import Connection, connect
from gateway.database.migrate import find_all, migrate
from gateway.database.sql import load_queries
from gateway.dev import demo
from gateway.dev.postgres import Cluster
from gateway.identity import tokens
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check

ROOT = Path(__file__).parents[2]
MANIFESTS = (ROOT / "routes.yaml", Path(__file__).with_name("routes.yaml"))
ORDERS = range(10_001, 15_001)
REQUEST_OF_ORDER = 10_000
CALLERS = 64
QUIET = 10
"""Looks, a hundredth of a second apart, that find no statement under way."""

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
SIZE = {"shared_buffers": "256MB", "max_connections": "300", "max_wal_size": "4GB"}

_SQL = load_queries(__file__)


@dataclass(frozen=True, slots=True)
class Database:
    """Where it is, its version, and the tokens of so many callers."""

    url: str
    version: str
    tokens: tuple[str, ...]

    def reset(self) -> None:
        """Bring the order tables back to where each run starts."""
        asyncio.run(_reset(self.url))

    def written(self) -> int:
        """Stages written since then."""
        return asyncio.run(_written(self.url))


@contextlib.contextmanager
def database(folder: Path) -> Iterator[Database]:
    """Start it on the last core and fill it, for the length of the block."""
    with on_the_last_core():
        cluster = Cluster(folder, options={**DURABLE, **SIZE})
        cluster.start()
    try:
        yield asyncio.run(_prepare(cluster.url()))
    finally:
        cluster.stop()


async def _prepare(url: str) -> Database:
    db = await connect(url)
    try:
        await migrate(db, find_all())
        await demo.fill(db, {})
        for manifest in MANIFESTS:
            for desired in check(manifest):
                await apply(db, desired, Author("benchmark"))
        await db.execute(_SQL["fill"])
        made = await _sessions(db)
        await db.execute("vacuum analyze")
        return Database(url, await db.fetchval("show server_version"), made)
    finally:
        await db.close()


async def _sessions(db: Connection) -> tuple[str, ...]:
    """Sessions of the demo's employee; answers their tokens."""
    made = tuple(tokens.make(tokens.SESSION_PREFIX) for _ in range(CALLERS))
    await db.execute(_SQL["sessions"], demo.APPLICATION, [tokens.digest(each) for each in made])
    return made


async def _reset(url: str) -> None:
    db = await connect(url)
    try:
        await _quiet(db)
        await db.execute(_SQL["reset"])
        await db.execute("vacuum analyze order_stages, order_statuses")
        # No run pays for the pages that another made dirty.
        await db.execute("checkpoint")
    finally:
        await db.close()


async def _quiet(db: Connection) -> None:
    """Wait until the servers are done with the run before."""
    quiet = 0
    while quiet < QUIET:
        quiet = 0 if await db.fetchval(_SQL["busy"]) else quiet + 1
        await asyncio.sleep(0.01)


async def _written(url: str) -> int:
    db = await connect(url)
    try:
        return int(await db.fetchval(_SQL["written"]))
    finally:
        await db.close()
