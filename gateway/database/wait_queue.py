"""A first-in, first-out queue of tasks that wait for a scarce item."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class WaitQueue(Generic[T]):
    """Hands items to waiters in order; an item for a cancelled waiter is not lost."""

    def __init__(self) -> None:
        self._waiters: deque[asyncio.Future[T]] = deque()

    def __len__(self) -> int:
        """How many tasks wait."""
        return len(self._waiters)

    async def wait(self, pass_on: Callable[[T], None]) -> T:
        """Wait for an item of `hand_over`. Raises the error of `fail_all`.

        `pass_on` gets an item that was handed to this waiter just before it was cancelled.
        """
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                pass_on(waiter.result())
            raise

    def hand_over(self, item: T) -> bool:
        """Hand an item to the first waiter; return whether there was one."""
        if waiter := self._next():
            waiter.set_result(item)
        return waiter is not None

    def fail_all(self, error: Exception) -> None:
        """Raise an error in every waiter."""
        while waiter := self._next():
            waiter.set_exception(error)

    def _next(self) -> asyncio.Future[T] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None
