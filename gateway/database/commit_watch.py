"""Looks for commits that the server does not confirm.

A statement that runs for long is a sign. A commit of our own then decides: while the server does
not confirm it, writes are refused and reads continue. Commits that wait are given up, not
cancelled: the server would then show others what only the primary has, and a fail-over would lose
it.
"""

import asyncio
from collections.abc import Sequence

from gateway.database.commits import Commits
from gateway.database.connect import CONNECT_TIMEOUT, Connection, connect, patient_timeout
from gateway.database.errors import DatabaseError, DatabaseUnavailable, translate_errors
from gateway.database.pool import Pool, any_in_use

WATCH_INTERVAL = 0.5
CONFIRM_TIMEOUT = 0.75
"""Seconds between two looks at the pools, and that the server has to confirm a commit.

A statement is a sign at the second look. Together a call waits less than two seconds.
"""

PROBE = "select pg_logical_emit_message(true, 'gateway', '')"
"""Writes to the server's log and to no table, so that its commit waits as any other."""


class CommitWatch:
    """Looks for commits that are not confirmed; `dsn` is the server's direct address."""

    def __init__(self, dsn: str, pools: Sequence[Pool], commits: Commits) -> None:
        self._dsn = dsn
        self._pools = pools
        self._commits = commits

    async def run(self) -> None:
        """Watch until cancelled."""
        grants = self._grants()
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            are_slow = any_in_use(self._pools, grants)
            if self._commits.is_suspected or self._commits.problem or are_slow:
                self._commits.is_suspected = False
                await self._probe()
            grants = self._grants()

    def _grants(self) -> list[int]:
        return [pool.grants for pool in self._pools]

    async def _probe(self) -> None:
        """Commit; whether the server can be reached at all is decided elsewhere."""
        try:
            connection = await connect(self._dsn, CONNECT_TIMEOUT, purpose="probe")
        except DatabaseUnavailable:
            return
        commit = asyncio.create_task(_commit(connection))
        try:
            await self._judge(commit)
        finally:
            # Before the task is cancelled: asyncpg would ask the server to cancel the commit.
            connection.terminate()
            commit.cancel()

    async def _judge(self, commit: asyncio.Task[bool]) -> None:
        """Begin the stall if the commit is not confirmed in time; end it once it is."""
        grants = self._grants()
        try:
            is_confirmed = await patient_timeout(asyncio.shield(commit), CONFIRM_TIMEOUT)
        except TimeoutError:
            if not self._commits.problem:
                self._commits.begin_stall()
            self._cut(grants)
            is_confirmed = await self._wait_for(commit)
        if is_confirmed and self._commits.problem:
            self._commits.end_stall()

    async def _wait_for(self, commit: asyncio.Task[bool]) -> bool:
        """Wait for the commit, or until the database is down; give up older statements."""
        grants = self._grants()
        while not commit.done():
            await asyncio.wait({commit}, timeout=WATCH_INTERVAL)
            # Those that began between the probe and its verdict.
            self._cut(grants)
            if any(pool.problem for pool in self._pools):
                return False
        return commit.result()

    def _cut(self, grants: Sequence[int]) -> None:
        for pool, number in zip(self._pools, grants, strict=True):
            pool.cut(number)


async def _commit(connection: Connection) -> bool:
    """Whether the server answered: an error of the server is an answer too."""
    try:
        with translate_errors(connection):
            await connection.execute(PROBE)
    except DatabaseError as error:
        return error.sqlstate is not None and not connection.is_closed()
    return True
