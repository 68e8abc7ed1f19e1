"""A bulkhead: a slow service holds at most its own share of a worker's calls."""

import asyncio

from gateway.runtime.timeout import Timeout


class FullError(Exception):
    """No place was free, or became free in time."""


class Bulkhead:
    """At most `limit` calls of one service are in flight, and as many wait; others are shed.

    `shed` counts the calls that got no place.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._places = asyncio.Semaphore(limit)
        self.in_flight = 0
        self.waiting = 0
        self.shed = 0

    async def enter(self, deadline: float) -> None:
        """Take a place, now or when one is free. Raises FullError."""
        if self._places.locked():
            await self._wait(deadline)
        else:
            await self._places.acquire()
        self.in_flight += 1

    def leave(self) -> None:
        """Give the place back; the first that waits gets it."""
        self.in_flight -= 1
        self._places.release()

    async def _wait(self, deadline: float) -> None:
        if self.waiting >= self._limit:
            self.shed += 1
            raise FullError
        self.waiting += 1
        try:
            with Timeout(deadline):
                await self._places.acquire()
        except TimeoutError as error:
            self.shed += 1
            raise FullError from error
        finally:
            self.waiting -= 1
