"""The deadline of a call: it ends what waits, until something was sent to the database.

An action that never waits, or has sent its work before it first does, pays for no timer.
"""

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

from gateway.runtime.timeout import Timeout

T = TypeVar("T")


class LazyTimeout(Generic[T]):
    """Awaits some work. Raises TimeoutError, with `expired` true, once the deadline has passed."""

    __slots__ = ("_at", "_timer", "_work", "sent")

    def __init__(self, work: Awaitable[T], at: float) -> None:
        self._work = work
        self._at = at
        self._timer: Timeout | None = None
        self.sent = False

    def lift(self) -> None:
        """From here on the deadline ends nothing."""
        self.sent = True
        if self._timer:
            self._timer.lift()

    @property
    def expired(self) -> bool:
        """Whether it was this deadline that ended the work."""
        return self._timer is not None and self._timer.expired

    def __await__(self) -> Generator[Any, Any, T]:
        """Run the work up to where it first waits, and only then look at the clock."""
        steps = self._work.__await__()
        try:
            waits_for = next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        rest = _Remainder(steps, waits_for)
        if self.sent:
            return (yield from rest.__await__())
        return (yield from self._in_time(rest).__await__())

    async def _in_time(self, rest: "_Remainder[T]") -> T:
        with Timeout(self._at) as self._timer:
            return await rest


class _Remainder(Generic[T]):
    """What is left of some work that waits for something."""

    __slots__ = ("_steps", "_waits_for")

    def __init__(self, steps: Generator[Any, Any, T], waits_for: object) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, T]:
        """Pass on what comes and goes, as `yield from` does for work that has not begun."""
        waits_for = self._waits_for
        try:
            while True:
                try:
                    given = yield waits_for
                except GeneratorExit:
                    self._steps.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - the work's own affair
                    waits_for = self._steps.throw(error)
                else:
                    waits_for = self._steps.send(given)
        except StopIteration as done:
            result: T = done.value
            return result
