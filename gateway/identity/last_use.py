"""When sessions were last used: noted in memory, written behind in batches."""

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
from gateway.runtime.periodic import flush_periodically
from gateway.values import Session

FLUSH_INTERVAL = 1.0
FLUSH_TIMEOUT = 2.0

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class LastUse:
    """The last uses of sessions in this worker, by session id."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._unwritten: dict[int, datetime] = {}
        # A remembered session is as old as GRACE at most, and does not know what was written since.
        self._written: deque[dict[int, datetime]] = deque(maxlen=int(GRACE / FLUSH_INTERVAL) + 2)
        self._is_behind = False

    def touch(self, session: Session, now: datetime) -> None:
        """Note that a session is used now."""
        self._unwritten[session.id] = now

    def with_last_use(self, session: Session) -> Session:
        """The session with its last use in this worker, which a remembered row does not know."""
        uses = (uses.get(session.id) for uses in (self._unwritten, *self._written))
        return session._replace(last_used_at=max([session.last_used_at, *filter(None, uses)]))

    async def run(self) -> None:
        """Write the uses each second until cancelled, then once more."""
        await flush_periodically(self.flush, FLUSH_INTERVAL)

    async def flush(self) -> None:
        """Write the uses now. If the database is away they are kept for the next time."""
        uses, self._unwritten = self._unwritten, {}
        self._written.append(uses)
        if not uses:
            return
        args = list(uses), list(uses.values())
        database = Database(self.pool, asyncio.get_running_loop().time() + FLUSH_TIMEOUT)
        try:
            await database.run(lambda db: db.execute(_SQL["record_use"], *args))
            self._is_behind = False
        except asyncio.CancelledError:
            # The worker stops, and flushes once more.
            self._unwritten = uses | self._unwritten
            raise
        except (DatabaseError, TimeoutError) as error:
            self._unwritten = uses | self._unwritten
            self._log_once(error)

    def _log_once(self, error: Exception) -> None:
        """It is tried again each second for as long as the database is away: one line is enough."""
        if not self._is_behind:
            events.emit(events.IDENTITY_LAST_USE_DELAYED, reason=str(error))
        self._is_behind = True
