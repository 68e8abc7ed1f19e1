"""The database of a run: an embedded PostgreSQL that flushes each commit, with the demo data."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.machine import on_the_last_core
from gateway.database.connect import Connection, connect
from gateway.database.migrate import find_all, migrate
from gateway.database.sql import load_queries
from gateway.dev import demo
from gateway.dev.postgres import Cluster
from gateway.identity import tokens
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import Desired, check

ROOT = Path(__file__).parents[2]
ORDERS = range(10_001, 15_001)
REQUEST_OF_ORDER = 10_000
CALLERS = 64
IDLE_CHECKS = 10
"""Consecutive checks, 10 ms apart, that must find no running statement."""

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
SIZE = {"shared_buffers": "256MB", "max_connections": "300", "max_wal_size": "4GB"}

_SQL = load_queries(__file__)


@dataclass(frozen=True, slots=True)
class Database:
    """A database by its address, with its version and the tokens of the callers."""

    url: str
    version: str
    tokens: tuple[str, ...]

    def reset(self) -> None:
        """Restore the order tables to the state in which each run starts."""
        asyncio.run(_reset(self.url))

    def written(self) -> int:
        """The number of stages written since the last reset."""
        return asyncio.run(_count_written(self.url))


@contextlib.contextmanager
def database(folder: Path) -> Iterator[Database]:
    """Start the server on the last core and fill its database, for the length of the block."""
    with on_the_last_core():
        cluster = Cluster(folder, options={**DURABLE, **SIZE})
        cluster.start()
    try:
        yield asyncio.run(prepare(cluster.url(), _manifests()))
    finally:
        cluster.stop()


def _manifests() -> list[Desired]:
    """The project's routes and the benchmarks' own; a manifest cannot name a file outside it."""
    [plano], [bench] = check(ROOT / "routes.yaml"), check(Path(__file__).with_name("routes.yaml"))
    params = plano.routes["order_stages.create"].params
    bench.routes["bench.echo"] = replace(bench.routes["bench.echo"], params=params)
    return [plano, bench]


async def prepare(url: str, manifests: Sequence[Desired]) -> Database:
    """Migrate an empty database, apply manifests, and add the demo, the orders and the callers."""
    db = await connect(url)
    try:
        await migrate(db, find_all())
        for desired in manifests:
            await apply(db, desired, Author("benchmark"))
        await demo.fill(db, {})
        await db.execute(_SQL["fill"])
        session_tokens = await _create_sessions(db)
        await db.execute("vacuum analyze")
        version = await db.fetchval("show server_version")
        return Database(url=url, version=version, tokens=session_tokens)
    finally:
        await db.close()


async def _create_sessions(db: Connection) -> tuple[str, ...]:
    """Create sessions of the demo's employee; return their tokens."""
    session_tokens = tuple(tokens.make(tokens.SESSION_PREFIX) for _ in range(CALLERS))
    digests = [tokens.digest(token) for token in session_tokens]
    await db.execute(_SQL["sessions"], demo.APPLICATION, digests)
    return session_tokens


async def _reset(url: str) -> None:
    db = await connect(url)
    try:
        await _wait_until_idle(db)
        await db.execute(_SQL["reset"])
        await db.execute("vacuum analyze order_stages, order_statuses")
        # No run pays for the dirty pages of the run before it.
        await db.execute("checkpoint")
    finally:
        await db.close()


async def _wait_until_idle(db: Connection) -> None:
    """Wait until the servers have finished the previous run."""
    idle_checks = 0
    while idle_checks < IDLE_CHECKS:
        idle_checks = 0 if await db.fetchval(_SQL["busy"]) else idle_checks + 1
        await asyncio.sleep(0.01)


async def _count_written(url: str) -> int:
    db = await connect(url)
    try:
        return int(await db.fetchval(_SQL["written"]))
    finally:
        await db.close()
