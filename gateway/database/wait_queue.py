"""Those who wait for something of which there is too little, in the order of asking."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class WaitQueue(Generic[T]):
    """A queue in which nobody is passed over, and nothing is lost with one who leaves."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[T]] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def wait(self, pass_on: Callable[[T], None]) -> T:
        """What the one who waits is given. Raises what `fail` was told.

        `pass_on` takes what was given just before the one who waited for it left.
        """
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():
                pass_on(turn.result())
            raise

    def give(self, given: T) -> bool:
        """Give it to the first who still waits; whether there was one."""
        if turn := self._next():
            turn.set_result(given)
        return turn is not None

    def fail(self, error: Exception) -> None:
        """Tell all who wait that it is in vain."""
        while turn := self._next():
            turn.set_exception(error)

    def _next(self) -> asyncio.Future[T] | None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn
        return None
