"""Jobs that one worker does for all: sweeping old rows, finding late workers.

The worker that holds a lease in the database runs the jobs. When it stops it releases the lease;
when it dies, another worker takes the lease after it has expired.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.database.errors import DatabaseError
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.sql import load_queries
from gateway.runtime import events

TICK = 5.0
LEASE = 15.0
"""Seconds between two rounds; seconds after which another worker may take over."""

JOB_TIMEOUT = 30.0
RELEASE_TIMEOUT = 1.0
LEASE_NAME = "maintenance"

_SQL = load_queries(__file__)


@dataclass(slots=True)
class Job:
    """Runs every `interval` seconds; `due` is the next time, by the loop's clock."""

    run: Callable[[Database], Awaitable[None]]
    interval: float
    due: float = 0.0


class Maintenance:
    """Runs the jobs of all workers while this worker holds the lease."""

    def __init__(self, pool: Pool, jobs: Sequence[Job]) -> None:
        self._pool = pool
        self._jobs = jobs
        self._holder = uuid.uuid4()

    async def run(self) -> None:
        """Hold the lease and run the due jobs until cancelled; then release the lease."""
        try:
            while True:
                with _failures_logged():
                    if await self._take_lease():
                        await self._run_due_jobs()
                await asyncio.sleep(TICK)
        finally:
            await self._release_lease()

    async def _take_lease(self) -> bool:
        """Take or renew the lease; return whether this worker holds it."""
        database = Database.within(self._pool, JOB_TIMEOUT)
        row = await database.fetchrow(_SQL["take_lease"], LEASE_NAME, self._holder, LEASE)
        return row is not None

    async def _run_due_jobs(self) -> None:
        for job in self._jobs:
            now = asyncio.get_running_loop().time()
            if now >= job.due:
                # A job that fails is due again at once, and must not keep the later ones waiting.
                with _failures_logged():
                    await job.run(Database.within(self._pool, JOB_TIMEOUT))
                    job.due = now + job.interval

    async def _release_lease(self) -> None:
        with _failures_logged():
            database = Database.within(self._pool, RELEASE_TIMEOUT)
            await database.fetch(_SQL["release_lease"], LEASE_NAME, self._holder)


@contextlib.contextmanager
def _failures_logged() -> Iterator[None]:
    """Log an error of the database, and go on after the block."""
    try:
        yield
    except DatabaseError as error:
        events.emit(events.MAINTENANCE_FAILED, reason=error.cause)
