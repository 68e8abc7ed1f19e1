"""A time-out that arms its timer only when the work first waits.

Most calls never wait, or have sent their SQL before they first do: they pay for no timer.
"""

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

from gateway.runtime.timeout import Timeout

T = TypeVar("T")


class LazyTimeout(Generic[T]):
    """Awaits some work until a time of the loop's clock, unless it is lifted before.

    Raises TimeoutError, with `expired` true, once that time has passed.
    """

    __slots__ = ("_at", "_timer", "_work", "lifted")

    def __init__(self, work: Awaitable[T], at: float) -> None:
        self._work = work
        self._at = at
        self._timer: Timeout | None = None
        self.lifted = False

    def lift(self) -> None:
        """Let the work take as long as it needs from here on."""
        self.lifted = True
        if self._timer:
            self._timer.lift()

    @property
    def expired(self) -> bool:
        """Whether this time-out ended the work."""
        return self._timer is not None and self._timer.expired

    def __await__(self) -> Generator[Any, Any, T]:
        """Run the work up to its first wait, and only then arm the timer."""
        steps = self._work.__await__()
        try:
            # By hand, not with `yield from`: this is the one moment between "has run so far" and
            # "waits", in which it is known whether a timer is needed at all.
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
    """What remains of work that has reached its first wait.

    A generator that has begun cannot be given to `yield from` without losing what it yielded last,
    so this repeats that value first and then passes everything through (PEP 380 has the rules).
    """

    __slots__ = ("_first_wait", "_steps")

    def __init__(self, steps: Generator[Any, Any, T], first_wait: object) -> None:
        self._steps = steps
        self._first_wait = first_wait

    def __await__(self) -> Generator[Any, Any, T]:
        """Pass values and exceptions in both directions, as `yield from` does."""
        waits_for = self._first_wait
        try:
            while True:
                try:
                    sent = yield waits_for
                except GeneratorExit:
                    self._steps.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - for the work to handle
                    waits_for = self._steps.throw(error)
                else:
                    waits_for = self._steps.send(sent)
        except StopIteration as done:
            result: T = done.value
            return result
