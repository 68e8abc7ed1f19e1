"""Jobs that one worker does for all: sweeping old rows, finding late workers.

The worker that holds a lease in the database runs the jobs. When it stops it releases the lease;
when it dies, another worker takes the lease after it has expired. Jobs that sweep work in slices,
and the lease is renewed before each. A worker that has just lost the lease may finish its slice
beside the next holder: slices skip the rows of each other.
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

PAUSE = 0.1
"""Seconds until the next round while a job has more to do, so that calls come first."""

JOB_TIMEOUT = 30.0
RELEASE_TIMEOUT = 1.0
LEASE_NAME = "maintenance"

_SQL = load_queries(__file__)


@dataclass(slots=True)
class Job:
    """Runs every `interval` seconds; `due` is the next time, by the loop's clock.

    `run` returns whether there is more to do; then the job stays due.
    """

    run: Callable[[Database], Awaitable[bool | None]]
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
                pause = TICK
                with self._failures_logged():
                    free_in = await self._take_lease()
                    if free_in is not None:
                        pause = max(free_in, TICK)
                    elif await self._run_due_jobs():
                        pause = PAUSE
                await asyncio.sleep(pause)
        finally:
            await self._release_lease()

    async def _take_lease(self) -> float | None:
        """Take or renew the lease: None, or the seconds for which another worker holds it."""
        database = Database.within(self._pool, JOB_TIMEOUT)
        row = await database.fetchrow(_SQL["take_lease"], LEASE_NAME, self._holder, LEASE)
        if row is None:
            return TICK  # another worker has just taken it
        seconds: float | None = row["seconds"]
        return seconds

    async def _run_due_jobs(self) -> bool:
        """Run each due job once; return whether one of them has more to do."""
        has_more = False
        for job in self._jobs:
            now = asyncio.get_running_loop().time()
            if now >= job.due:
                # A job that fails is due again at once, and must not keep the later ones waiting.
                with self._failures_logged():
                    if await job.run(Database.within(self._pool, JOB_TIMEOUT)):
                        has_more = True
                    else:
                        job.due = now + job.interval
        return has_more

    async def _release_lease(self) -> None:
        with self._failures_logged():
            database = Database.within(self._pool, RELEASE_TIMEOUT)
            await database.fetch(_SQL["release_lease"], LEASE_NAME, self._holder)

    @contextlib.contextmanager
    def _failures_logged(self) -> Iterator[None]:
        """Log an error of the database, unless of an outage, and go on after the block."""
        try:
            yield
        except DatabaseError as error:
            if not self._pool.outage:
                events.emit(events.MAINTENANCE_FAILED, reason=error.cause)
