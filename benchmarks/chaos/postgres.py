"""The PostgreSQL of a run, and its faults. Each fault returns when the server serves again."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
from bench.database import DURABLE
from bench.processes import children_of
from durable import kill_postgres

from chaos.plan import Step
from gateway.database.connect import Connection, connect
from gateway.database.errors import DatabaseError
from gateway.database.sql import load_queries
from gateway.dev.postgres import Cluster

TABLES = ("order_stages", "order_statuses", "statuses", "gateway.outbox", "gateway.sessions")
"""The tables that may be locked."""

RECOVERY_TIMEOUT = 60.0
POLL_INTERVAL = 0.05
SERVER_LOST = (
    *(DatabaseError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError),
    # What asyncpg raises between the server's last message and the end of the connection.
    asyncpg.InternalClientError,
)

SQL = load_queries(Path(__file__).with_name("queries.sql"))


class Postgres:
    """A server in a folder; `commits` is its `synchronous_commit`."""

    def __init__(self, folder: Path, commits: str) -> None:
        self._folder = folder
        # Two instances of the gateway serve during a deploy, with all their connections.
        options = {**DURABLE, "max_connections": "200", "synchronous_commit": commits}
        self._cluster = Cluster(folder, options=options)
        self.url = ""
        """The address, which a restart does not change."""

    def start(self) -> None:
        """Start the server; it blocks."""
        self._cluster.start()
        self.url = self._cluster.url()

    def stop(self) -> None:
        """Stop the server; it blocks."""
        self._cluster.stop()

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A connection for the length of the block, once the server accepts one."""
        connection = await self._connect()
        try:
            yield connection
        finally:
            with contextlib.suppress(*SERVER_LOST, TimeoutError):
                await connection.close(timeout=1)

    async def run(self, work: Callable[[Connection], Awaitable[Any]]) -> Any:
        """Run some work on a connection of its own."""
        async with self.connected() as connection:
            return await work(connection)

    async def kill(self, _: Step) -> None:
        """Kill the postmaster, whose children end by themselves, and start the server again."""
        await kill_postgres(self._cluster, self._folder)

    async def freeze(self, step: Step) -> None:
        """Stop every process of the server for a while: connections stay open and carry nothing."""
        postmaster = self._postmaster()
        os.kill(postmaster, signal.SIGSTOP)
        pids = [*await asyncio.to_thread(children_of, postmaster), postmaster]
        try:
            _signal_all(pids, signal.SIGSTOP)
            await asyncio.sleep(step.seconds)
        finally:
            _signal_all(pids, signal.SIGCONT)

    async def terminate_backend(self, step: Step) -> None:
        """End one connection of the gateway, as an administrator does."""
        async with self.connected() as db:
            pid = await self._backend(db, step)
            await db.execute(SQL["terminate"], [pid])

    async def kill_backend(self, step: Step) -> None:
        """Kill the process of one connection, after which the server restarts all of them."""
        async with self.connected() as db:
            pid = await self._backend(db, step)
            _signal_all([pid], signal.SIGKILL)
            await asyncio.sleep(0.1)
        async with self.connected():
            pass

    async def lock(self, step: Step) -> None:
        """Lock a table against every use for a while."""
        table = TABLES[int(step.choice * len(TABLES))]
        async with self.connected() as db:
            with contextlib.suppress(*SERVER_LOST):
                # The server may limit the statements of this connection, too.
                await db.execute("set statement_timeout = 0")
                async with db.transaction():
                    await db.execute(f"lock table {table}")
                    await asyncio.sleep(step.seconds)

    async def lock_with_statement_timeout(self, step: Step) -> None:
        """Lock a table while the server itself cancels each statement after 300 ms."""
        async with self.connected() as db:
            await db.execute(SQL["limit_statements"])
            await db.execute(SQL["terminate_all"])
        try:
            await self.lock(step)
        finally:
            async with self.connected() as db:
                await db.execute(SQL["unlimit_statements"])
                await db.execute(SQL["terminate_all"])

    async def _backend(self, db: Connection, step: Step) -> int:
        """The process of a random connection of the gateway, once it has one."""
        while not (rows := await db.fetch(SQL["backends"])):  # noqa: ASYNC110
            await asyncio.sleep(POLL_INTERVAL)
        pid: int = rows[int(step.choice * len(rows))]["pid"]
        return pid

    def _postmaster(self) -> int:
        file = self._folder / "postgres" / "postmaster.pid"
        return int(file.read_text().split("\n", 1)[0])

    async def _connect(self) -> Connection:
        async with asyncio.timeout(RECOVERY_TIMEOUT):
            while True:
                try:
                    return await connect(self.url)
                except SERVER_LOST:
                    await asyncio.sleep(POLL_INTERVAL)


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
