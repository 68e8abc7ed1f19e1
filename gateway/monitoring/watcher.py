"""Keeps the state that the console shows, with one query every few seconds for all operators."""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from gateway.database.errors import DatabaseError
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.sql import load_queries
from gateway.monitoring.state import HOUR, State

QUERY_INTERVAL = 2.0
"""Seconds between two queries while operators look; the state may be this old."""

LOOK_TIMEOUT = 30.0
"""Seconds after the last look until the queries stop."""

QUERY_TIMEOUT = 2.0
MAX_NOTIFICATIONS = 200
SILENCE = 6.9
"""Seconds without a heartbeat, which a worker sends every three, until it counts as silent.

One that dies loses its direct connection, and is silent at once.
"""

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class Watcher:
    """The newest state; `run` renews it while operators look.

    `alone` gives the state as far as this worker knows it without the database. `held` gives the
    token hashes of the operators who watch now; `dropped` is called with those whose sessions have
    ended.
    """

    def __init__(
        self,
        pool: Pool,
        alone: Callable[[], State],
        *,
        held: Callable[[], Iterable[bytes]],
        dropped: Callable[[set[bytes]], None],
    ) -> None:
        self._pool = pool
        self._alone = alone
        self._held = held
        self._dropped = dropped
        self._state: State | None = None
        self._queried_at = 0.0
        self._looked_at = -LOOK_TIMEOUT
        self._wanted = asyncio.Event()
        self._renewed = asyncio.Condition()
        self._renewing = asyncio.Lock()

    async def look(self) -> State:
        """The state, at most `QUERY_INTERVAL` old unless the database does not answer.

        If the database has never answered, it is that of this worker alone.
        """
        self._looked_at = time.monotonic()
        self._wanted.set()
        async with self._renewing:
            if time.monotonic() - self._queried_at >= QUERY_INTERVAL:
                await self._renew()
        return self._state or self._alone()

    async def wait(self) -> None:
        """Wait until the state is renewed."""
        self._looked_at = time.monotonic()
        self._wanted.set()
        async with self._renewed:
            await self._renewed.wait()

    def forget(self) -> None:
        """Query again at the next look: something was changed."""
        self._queried_at = 0.0

    async def run(self) -> None:
        """Renew the state while operators look, until cancelled."""
        while True:
            await self._wanted.wait()
            if time.monotonic() - self._looked_at > LOOK_TIMEOUT:
                self._wanted.clear()
                continue
            await self.look_again()
            await asyncio.sleep(QUERY_INTERVAL)

    async def look_again(self) -> None:
        """Renew the state, unless that has just happened, and wake those who wait for it."""
        async with self._renewing:
            if time.monotonic() - self._queried_at >= QUERY_INTERVAL / 2:
                await self._renew()
        async with self._renewed:
            self._renewed.notify_all()

    async def _renew(self) -> None:
        before = self._state
        newest = before.samples[-1].at if before and before.samples else _hour_ago()
        held = [*self._held()]
        try:
            [row] = await Database.within(self._pool, QUERY_TIMEOUT).fetch(
                _SQL["state"], newest, held, MAX_NOTIFICATIONS, SILENCE
            )
        except DatabaseError as error:
            self._state = before and before.without_database(str(error))
        else:
            self._state = State.of(row, before)
            self._dropped({*held} - {*row["operators"]})
        self._queried_at = time.monotonic()


def _hour_ago() -> datetime:
    # The database's clock may differ from this one's: an hour more does no harm.
    return datetime.now(UTC) - 2 * HOUR
