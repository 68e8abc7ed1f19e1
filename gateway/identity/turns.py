"""Turns: of the work for one key, only a few run at the same time, and the others wait."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway import statuses
from gateway.values import Rejection

TIMEOUT = 2.0
"""Seconds that work waits for its turn, or less if the deadline of its call is earlier."""


class _Places:
    """The places of one key, and how much work has one or waits for one."""

    def __init__(self, number: int) -> None:
        self.semaphore = asyncio.Semaphore(number)
        self.users = 0


class Turns:
    """At most `at_once` pieces of work for each key; keys without work take no memory."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._places: dict[str, _Places] = {}

    @asynccontextmanager
    async def turn(self, key: str, deadline: float = math.inf) -> AsyncIterator[None]:
        """Run the block in a turn of the key; `deadline` is a time of the loop's clock.

        Raises Rejection: service-unavailable, if there is no turn in time.
        """
        latest = min(deadline, asyncio.get_running_loop().time() + TIMEOUT)
        places = self._places.setdefault(key, _Places(self._at_once))
        places.users += 1
        try:
            try:
                async with asyncio.timeout_at(latest):
                    await places.semaphore.acquire()
            except TimeoutError as error:
                message = "Too many tokens of this address are being looked up."
                raise Rejection(statuses.SERVICE_UNAVAILABLE, message) from error
            try:
                yield
            finally:
                places.semaphore.release()
        finally:
            places.users -= 1
            if not places.users:
                del self._places[key]
