"""Watches the pooler between the gateway and PostgreSQL, which may die by itself.

A pooler answers a log-in without the server. So a log-in that is not answered is a dead pooler, and
a statement that waits is a busy one: its callers wait, and no call is refused for it.
"""

import asyncio
import math
from collections.abc import Sequence

from gateway.database.availability import Availability
from gateway.database.connect import Connection, log_in
from gateway.database.errors import TOO_MANY_CONNECTIONS, DatabaseUnavailable
from gateway.database.pool import Pool, any_in_use, random_age

WATCH_INTERVAL = 0.5
LOG_IN_TIMEOUT = 1.0
"""Seconds between two looks, and that the pooler has to answer; their sum is the longest wait."""

MIN_INTERVAL = 1.0
"""Seconds between two log-ins while statements are slow."""

FULL = "max_client_conn"
"""A part of PgBouncer's text when it has as many clients as it takes."""


class PoolerWatch:
    """Keeps a session with the pooler: a pooler that ends closes it.

    It logs in again when that is closed, and when statements are slow: a frozen pooler closes
    nothing. The session is replaced before it is `max_age` seconds old; 0 means never.
    """

    def __init__(
        self, dsn: str, availability: Availability, pools: Sequence[Pool], *, max_age: float = 0
    ) -> None:
        self._dsn = dsn
        self._availability = availability
        self._pools = pools
        self._max_age = max_age
        self._session: Connection | None = None
        self._expires_at = math.inf
        self._logged_in_at = -math.inf
        self._grants = [pool.grants for pool in pools]

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                if self._is_due():
                    await self._log_in()
                self._grants = [pool.grants for pool in self._pools]
                await asyncio.sleep(WATCH_INTERVAL)
        finally:
            self._close()

    def _is_due(self) -> bool:
        session = self._session
        if session is None or session.is_closed():
            return True
        now = asyncio.get_running_loop().time()
        if now >= self._expires_at:
            return True
        if now < self._logged_in_at + MIN_INTERVAL:
            return False
        return any_in_use(self._pools, self._grants)

    async def _log_in(self) -> None:
        try:
            session = await log_in(self._dsn, LOG_IN_TIMEOUT, purpose="pooler")
        except DatabaseUnavailable as error:
            self._close()
            if not _is_full(error):
                self._availability.report_down("pooler", str(error))
            return
        self._close()
        self._session = session
        self._logged_in_at = asyncio.get_running_loop().time()
        self._expires_at = self._logged_in_at + random_age(self._max_age)
        self._availability.report_up("pooler")

    def _close(self) -> None:
        if self._session:
            self._session.terminate()
        self._session = None


def _is_full(error: DatabaseUnavailable) -> bool:
    """Whether the pooler, or the server behind it, has no place for one more client."""
    return error.sqlstate == TOO_MANY_CONNECTIONS or FULL in str(error)
