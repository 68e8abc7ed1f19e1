"""A time limit around something that waits."""

import asyncio
from types import TracebackType
from typing import Self


class Timeout:
    """Ends the block at a time of the loop's clock, with TimeoutError and `expired` true.

    What `asyncio.timeout_at` does, at less than half of its price: it is no coroutine and makes its
    timer once. Requests enter two of these, and hardly any of them ever ends something.
    """

    __slots__ = ("_at", "_cancelling", "_task", "_timer", "expired")

    def __init__(self, at: float) -> None:
        self._at = at
        self.expired = False

    def __enter__(self) -> Self:
        """Start the clock. Raises RuntimeError outside of a task."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("only a task can be ended in time")
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = loop.call_at(self._at, self._end)
        return self

    def lift(self) -> None:
        """From here on nothing is ended."""
        self._timer.cancel()

    def _end(self) -> None:
        self.expired = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """Stop the clock. Raises TimeoutError if it was the clock alone that ended the block."""
        self._timer.cancel()
        if self.expired:
            alone = self._task.uncancel() <= self._cancelling
            if alone and kind is asyncio.CancelledError:
                raise TimeoutError
