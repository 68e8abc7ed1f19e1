"""When sessions were last used: kept in memory, written to the database once a second."""

import asyncio
from collections import deque
from datetime import datetime
from pathlib import Path

from gateway.database.errors import DatabaseError
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.sql import load_queries
from gateway.identity.token_cache import GRACE
from gateway.runtime import events
from gateway.runtime.periodic import FailureLog, flush_periodically
from gateway.values import Session

FLUSH_INTERVAL = 1.0
FLUSH_TIMEOUT = 2.0

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class LastUse:
    """The last uses of sessions in this worker, by session id."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._unwritten: dict[int, datetime] = {}
        # A cached session is up to GRACE seconds old, and does not have what was written since.
        self._written: deque[dict[int, datetime]] = deque(maxlen=int(GRACE / FLUSH_INTERVAL) + 2)
        self._failures = FailureLog(events.IDENTITY_LAST_USE_DELAYED)

    def touch(self, session: Session, now: datetime) -> None:
        """Record that a session is used now."""
        self._unwritten[session.id] = now

    def with_last_use(self, session: Session) -> Session:
        """The session with its last use in this worker, which a cached session does not have."""
        uses = (uses.get(session.id) for uses in (self._unwritten, *self._written))
        return session._replace(last_used_at=max([session.last_used_at, *filter(None, uses)]))

    async def run(self) -> None:
        """Write the uses once a second until cancelled, then once more."""
        await flush_periodically(self.flush, FLUSH_INTERVAL)

    async def flush(self) -> None:
        """Write the uses now; if the database is unavailable, keep them for the next flush."""
        uses, self._unwritten = self._unwritten, {}
        self._written.append(uses)
        if not uses:
            return
        args = list(uses), list(uses.values())
        database = Database.within(self.pool, FLUSH_TIMEOUT)
        try:
            await database.run(lambda db: db.execute(_SQL["record_use"], *args))
            self._failures.clear()
        except asyncio.CancelledError:
            # The worker is stopping, and flushes once more.
            self._unwritten = uses | self._unwritten
            raise
        except (DatabaseError, TimeoutError) as error:
            self._unwritten = uses | self._unwritten
            if not self.pool.outage:
                self._failures.log(error)
