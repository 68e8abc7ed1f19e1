"""Background work that is repeated at an interval."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.runtime import events
from gateway.runtime.events import Event


class FailureLog:
    """Emits an event for the first of several failures in a row.

    Work that is repeated every second would otherwise fill the log during an outage. The event has
    one field, `reason`.
    """

    def __init__(self, event: Event) -> None:
        self._event = event
        self._is_failing = False

    def log(self, error: Exception) -> None:
        """Emit the event, unless it was emitted since the last success."""
        if not self._is_failing:
            events.emit(self._event, reason=str(error))
        self._is_failing = True

    def clear(self) -> None:
        """Record a success: the next failure is logged again."""
        self._is_failing = False


async def flush_periodically(flush: Callable[[], Awaitable[None]], interval: float) -> None:
    """Flush every `interval` seconds until cancelled, then once more."""
    try:
        while True:
            await asyncio.sleep(interval)
            await flush()
    except asyncio.CancelledError:
        await flush()
        raise
