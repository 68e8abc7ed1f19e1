"""Counts that workers share: kept in memory, and joined in PostgreSQL in batches.

A count is of a sliding window: of the last whole window as much as still lies within it, and all
of the one that runs. Workers learn of each other twice a second, so that together they may let
through a little more than a limit says; without the database each goes by its own count.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.database.handle import Database
from gateway.database.pool import FAULTS, Pool, UnavailableError
from gateway.database.sql import load_queries
from gateway.runtime.periodic import write_behind
from gateway.values import Rate

FLUSH_INTERVAL = 0.5
FLUSH_TIMEOUT = 2.0
SWEEP_INTERVAL = 60.0
_ROUNDING = 1e-6
MAX_COUNTS = 100_000

_SQL = load_queries(__file__)
_log = logging.getLogger(__name__)


class _Count:
    """One key in one window: `here` is not written yet, `known` is what all have written."""

    __slots__ = ("before", "here", "known", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.here = 0
        self.known = 0
        self.before = 0

    def roll(self, window: int) -> None:
        """Go on to a later window."""
        self.before = self.here + self.known if window == self.window + 1 else 0
        self.window, self.here, self.known = window, 0, 0


class Counts:
    """The counts of one worker."""

    def __init__(self, pool: Pool, now: Callable[[], float] = time.time) -> None:
        self._pool = pool
        self._now = now
        self._counts: dict[tuple[str, int], _Count] = {}
        self._behind = False
        self._swept = now()

    def take(self, key: str, rate: Rate) -> int:
        """Count one more, and answer 0; or, if the limit is reached, seconds to come back after."""
        count = self._count(key, rate.seconds)
        wait = _wait(count, rate, self._now())
        if not wait:
            count.here += 1
        return wait

    def give_back(self, key: str, rate: Rate) -> None:
        """Count one less: it was none of those that are limited."""
        self._count(key, rate.seconds).here -= 1

    def is_reached(self, key: str, rate: Rate) -> int:
        """What `take` would answer, without counting."""
        count = self._counts.get((key, rate.seconds))
        if count is None:
            return 0
        return _wait(self._count(key, rate.seconds), rate, self._now())

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

    async def write_behind(self) -> None:
        """Share the counts, until cancelled; then once more."""
        await write_behind(self.flush, FLUSH_INTERVAL)

    async def flush(self) -> None:
        """Write what was counted here, and learn what others counted of the same."""
        changed = [(key, count) for key, count in self._counts.items() if count.here]
        try:
            if changed:
                await self._exchange(changed)
            if self._now() - self._swept > SWEEP_INTERVAL:
                await self._sweep()
            self._behind = False
        except (UnavailableError, *FAULTS) as error:
            if not self._behind:
                _log.warning("limits are counted by each worker for itself: %s", error)
            self._behind = True

    async def _exchange(self, changed: list[tuple[tuple[str, int], _Count]]) -> None:
        # In the order of their hashes, so that two workers never wait for each other.
        rows = sorted(
            (_digest(key), key, count, count.window, count.here) for key, count in changed
        )
        given = [[row[0] for row in rows], [row[1][1] for row in rows]]
        starts = [datetime.fromtimestamp(key[1] * window, UTC) for _, key, _, window, _ in rows]
        found = await self._work().fetch(_SQL["add"], *given, starts, [row[4] for row in rows])
        known = {row["key"]: row for row in found}
        for digest, _, count, window, here in rows:
            if count.window == window:
                count.here -= here
                count.known, count.before = known[digest]["count"], known[digest]["before"]

    async def _sweep(self) -> None:
        """Drop windows that are over, and keys that nobody counted for a while."""
        now = self._swept = self._now()
        self._counts = {
            key: count
            for key, count in self._counts.items()
            if count.here or (count.window + 2) * key[1] > now
        }
        await self._work().run(lambda db: db.execute(_SQL["sweep"]))

    def _work(self) -> Database:
        return Database(self._pool, asyncio.get_running_loop().time() + FLUSH_TIMEOUT)


def _digest(key: tuple[str, int]) -> bytes:
    return hashlib.sha256(f"{key[1]}:{key[0]}".encode()).digest()


def _wait(count: _Count, rate: Rate, now: float) -> int:
    """Seconds until one more fits, 0 if it fits now."""
    passed = now / rate.seconds - count.window
    running = count.here + count.known
    if running + count.before * (1 - passed) <= rate.calls - 1 + _ROUNDING:
        return 0
    if running < rate.calls:
        free_at = 1 - (rate.calls - 1 - running) / count.before
    else:
        free_at = 2 - (rate.calls - 1) / running
    return max(1, -int(-(free_at - passed) * rate.seconds // 1))
