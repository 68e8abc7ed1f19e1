"""Counts for rate limits, kept in memory and shared by all workers through PostgreSQL.

A limit is a sliding window: the count of the current window, plus the share of the window before
that lies within the last `rate.seconds`. Workers exchange their counts twice a second, so together
they may let through a little more than the limit. Without the database each worker counts alone.
"""

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.database.errors import DatabaseError
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.slices import delete_slice
from gateway.database.sql import load_queries
from gateway.runtime import events
from gateway.runtime.periodic import FailureLog, flush_periodically
from gateway.values import Rate

FLUSH_INTERVAL = 0.5
FLUSH_TIMEOUT = 2.0
PRUNE_INTERVAL = 60.0
_ROUNDING = 1e-6
MAX_COUNTS = 100_000

_SQL = load_queries(__file__)


class _Count:
    """One key in one window.

    `unwritten` is what this worker counted since it last wrote, `written` what all workers have
    written, `before` the count of the window before.
    """

    __slots__ = ("before", "unwritten", "window", "written")

    def __init__(self, window: int) -> None:
        self.window = window
        self.unwritten = 0
        self.written = 0
        self.before = 0

    def roll(self, window: int) -> None:
        """Move on to a later window."""
        is_next = window == self.window + 1
        self.before = self.unwritten + self.written if is_next else 0
        self.window, self.unwritten, self.written = window, 0, 0


class Counts:
    """The counts of one worker."""

    def __init__(self, pool: Pool, now: Callable[[], float] = time.time) -> None:
        self._pool = pool
        self._now = now
        self._counts: dict[tuple[str, int], _Count] = {}
        self._failures = FailureLog(events.IDENTITY_COUNTS_DELAYED)
        self._pruned_at = now()

    def take(self, key: str, rate: Rate) -> int:
        """Count one more and return 0; if the limit is reached, return the seconds to wait."""
        count = self._count(key, rate.seconds)
        seconds = _seconds_to_wait(count, rate, self._now())
        if not seconds:
            count.unwritten += 1
        return seconds

    def give_back(self, key: str, rate: Rate) -> None:
        """Undo one `take`: the call turned out not to count."""
        self._count(key, rate.seconds).unwritten -= 1

    def is_reached(self, key: str, rate: Rate) -> int:
        """What `take` would return, without counting."""
        count = self._counts.get((key, rate.seconds))
        if count is None:
            return 0
        return _seconds_to_wait(self._count(key, rate.seconds), rate, self._now())

    def _count(self, key: str, seconds: int) -> _Count:
        window = int(self._now() // seconds)
        count = self._counts.get((key, seconds))
        if count is None:
            if len(self._counts) >= MAX_COUNTS:
                del self._counts[next(iter(self._counts))]
            count = self._counts[key, seconds] = _Count(window)
        elif count.window != window:
            count.roll(window)
        return count

    async def run(self) -> None:
        """Exchange the counts until cancelled, then once more."""
        await flush_periodically(self.flush, FLUSH_INTERVAL)

    async def flush(self) -> None:
        """Write what was counted here, and read what other workers counted for the same keys."""
        self._prune()
        changed = [(key, count) for key, count in self._counts.items() if count.unwritten]
        try:
            if changed:
                await self._exchange(changed)
            self._failures.clear()
        except DatabaseError as error:
            if not self._pool.outage:
                self._failures.log(error)

    async def _exchange(self, changed: list[tuple[tuple[str, int], _Count]]) -> None:
        # Sorted by digest, so that two workers never wait for each other's rows.
        rows = sorted(
            (_digest(key), key, count, count.window, count.unwritten) for key, count in changed
        )
        digests, seconds = [row[0] for row in rows], [row[1][1] for row in rows]
        starts = [datetime.fromtimestamp(key[1] * window, UTC) for _, key, _, window, _ in rows]
        database = Database.within(self._pool, FLUSH_TIMEOUT)
        added = await database.fetch(
            _SQL["add"], digests, seconds, starts, [row[4] for row in rows]
        )
        totals = {row["key"]: row for row in added}
        for digest, _, count, window, unwritten in rows:
            if count.window == window:
                count.unwritten -= unwritten
                count.written = totals[digest]["count"]
                # What was counted here at the end of the window before may not have been written.
                count.before = max(count.before, totals[digest]["before"])

    def _prune(self) -> None:
        """Drop the keys that were not counted for a while."""
        now = self._now()
        if now - self._pruned_at <= PRUNE_INTERVAL:
            return
        self._pruned_at = now
        self._counts = {
            key: count
            for key, count in self._counts.items()
            if count.unwritten or (count.window + 2) * key[1] > now
        }


async def sweep(database: Database) -> bool:
    """Delete a slice of the windows that no limit reads any more; return whether more is left."""
    return await delete_slice(database, _SQL["sweep"])


def _digest(key: tuple[str, int]) -> bytes:
    return hashlib.sha256(f"{key[1]}:{key[0]}".encode()).digest()


def _seconds_to_wait(count: _Count, rate: Rate, now: float) -> int:
    """Seconds until one more call is within the limit, rounded up; 0 if it is now.

    The window before weighs less as the current one goes on: the wait ends where both together
    leave room, in this window if `current` alone is below the limit, otherwise in the next one.
    """
    elapsed = now / rate.seconds - count.window
    current = count.unwritten + count.written
    if current + count.before * (1 - elapsed) <= rate.calls - 1 + _ROUNDING:
        return 0
    if current < rate.calls:
        free_at = 1 - (rate.calls - 1 - current) / count.before
    else:
        free_at = 2 - (rate.calls - 1) / current
    return max(1, -int(-(free_at - elapsed) * rate.seconds // 1))
