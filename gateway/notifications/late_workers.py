"""Notifications about all workers: some are late, or the database was lost and is back."""

from pathlib import Path

from gateway.database.handle import Database
from gateway.database.slices import delete_slice
from gateway.database.sql import load_queries
from gateway.registry.store import WORKER_TIMEOUT

CHECK_INTERVAL = 5.0
LATE_DELAY = 10.0
"""Seconds that a worker has to serve a new revision."""

RECOVERY_DELAY = 3.0
"""Seconds since the last report of a lost database, after which it counts as back."""

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class LateWorkers:
    """Finds live workers that do not serve the newest revision."""

    def __init__(self) -> None:
        self._were_late = False

    async def check(self, database: Database) -> None:
        """Raise a notification if workers are late, and resolve it once none is."""
        [row] = await database.fetch(_SQL["late_workers"], WORKER_TIMEOUT, LATE_DELAY)
        # Only in two checks in a row: a worker that has just started is late for a moment.
        if row["message"] and self._were_late:
            await database.fetch(_SQL["raise_late_workers"], row["message"])
        elif not row["message"]:
            await database.fetch(_SQL["resolve_ended"], ["worker-late"])
        self._were_late = row["message"] is not None
        await database.fetch(_SQL["resolve_lost_database"], RECOVERY_DELAY)


async def sweep(database: Database) -> bool:
    """Delete a slice of the notifications that were resolved more than 90 days ago.

    Return whether more may be left.
    """
    return await delete_slice(database, _SQL["sweep"])
