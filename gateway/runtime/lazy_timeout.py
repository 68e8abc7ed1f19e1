"""A time-out that starts its timer only when the work first waits.

Most calls never wait, or send their SQL before their first wait: they need no timer.
"""

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

from gateway.runtime.timeout import Timeout

T = TypeVar("T")


class LazyTimeout(Generic[T]):
    """Awaits `work` until the time `at` of the loop's clock, unless the time-out is lifted before.

    Raises TimeoutError, with `expired` true, once that time has passed.
    """

    __slots__ = ("_at", "_timer", "_work", "lifted")

    def __init__(self, work: Awaitable[T], at: float) -> None:
        self._work = work
        self._at = at
        self._timer: Timeout | None = None
        self.lifted = False

    def lift(self) -> None:
        """End the time-out; the work may take as long as it needs from now on."""
        self.lifted = True
        if self._timer:
            self._timer.lift()

    @property
    def expired(self) -> bool:
        """Whether this time-out ended the work."""
        return self._timer is not None and self._timer.expired

    def __await__(self) -> Generator[Any, Any, T]:
        """Run the work up to its first wait, and only then start the timer."""
        steps = self._work.__await__()
        try:
            # By hand instead of with `yield from`: only here, between the first step and the first
            # wait, is it known whether a timer is needed.
            first_wait = next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        remainder = _Remainder(steps, first_wait)
        if self.lifted:
            return (yield from remainder.__await__())
        return (yield from self._in_time(remainder).__await__())

    async def _in_time(self, remainder: "_Remainder[T]") -> T:
        with Timeout(self._at) as self._timer:
            return await remainder


class _Remainder(Generic[T]):
    """The rest of work that has reached its first wait.

    `yield from` on a generator that has already yielded would lose the value it yielded last. This
    repeats that value first, and then passes everything through (the rules are in PEP 380).
    """

    __slots__ = ("_first_wait", "_steps")

    def __init__(self, steps: Generator[Any, Any, T], first_wait: object) -> None:
        self._steps = steps
        self._first_wait = first_wait

    def __await__(self) -> Generator[Any, Any, T]:
        """Pass values and exceptions in both directions, as `yield from` does."""
        awaited = self._first_wait
        try:
            while True:
                try:
                    sent = yield awaited
                except GeneratorExit:
                    self._steps.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - for the work to handle
                    awaited = self._steps.throw(error)
                else:
                    awaited = self._steps.send(sent)
        except StopIteration as done:
            result: T = done.value
            return result
