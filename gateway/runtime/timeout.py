"""A time-out around a block that waits."""

import asyncio
from types import TracebackType
from typing import Self


class Timeout:
    """Ends the block at a time of the loop's clock, with TimeoutError and `expired` true.

    It works as `asyncio.timeout_at` does at less than half the cost: it is not a coroutine, and
    creates its timer once. A request enters two of these, and they hardly ever expire.
    """

    __slots__ = ("_at", "_cancelling", "_task", "_timer", "expired")

    def __init__(self, at: float) -> None:
        self._at = at
        self.expired = False

    def __enter__(self) -> Self:
        """Start the timer. Raises RuntimeError outside of a task."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a time-out needs a task that it can cancel")
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = loop.call_at(self._at, self._expire)
        return self

    def lift(self) -> None:
        """Stop the timer; the block may take as long as it needs."""
        self._timer.cancel()

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """Stop the timer. Raises TimeoutError if the timer alone ended the block."""
        self._timer.cancel()
        if self.expired:
            # Another cancellation in the meantime wins, as in `asyncio.Timeout.__aexit__`.
            is_only_reason = self._task.uncancel() <= self._cancelling
            if is_only_reason and kind is asyncio.CancelledError:
                raise TimeoutError
