"""Notifications about replication: with asynchronous standbys a fail-over loses commits."""

import time
from pathlib import Path

from gateway.database.handle import Database
from gateway.database.sql import load_queries
from gateway.runtime import events

CHECK_INTERVAL = 60.0
"""Seconds; also how old a finding is when it is checked again."""

MAX_AGE = 3 * CHECK_INTERVAL
"""Seconds after which a finding no longer counts: another worker does the maintenance now."""

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class Replication:
    """Finds out whether the primary commits without waiting for its standbys."""

    def __init__(self) -> None:
        self._standbys = 0
        self._checked_at = 0.0

    @property
    def asynchronous_standbys(self) -> int:
        """The standbys for which no commit waits; 0 in a worker that does no maintenance."""
        age = time.monotonic() - self._checked_at
        return self._standbys if age < MAX_AGE else 0

    async def check(self, database: Database) -> None:
        """Raise a notification while commits wait for none of the standbys; a maintenance job."""
        [row] = await database.fetch(_SQL["replication"])
        known, reason = self.asynchronous_standbys, row["reason"]
        self._standbys = row["standbys"] if reason else 0
        self._checked_at = time.monotonic()
        if not self._standbys:
            await database.fetch(_SQL["resolve_ended"], ["replication-asynchronous"])
            return
        if not known:
            events.emit(events.DATABASE_ASYNCHRONOUS, standbys=self._standbys, reason=reason)
        await database.fetch(_SQL["raise_replication"], f"{_message(self._standbys)}: {reason}.")


def _message(standbys: int) -> str:
    count = "A standby follows" if standbys == 1 else f"{standbys} standbys follow"
    return f"{count} the database, and commits do not wait for any"
