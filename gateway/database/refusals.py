"""Whether the server refuses statements: its disk or memory is full, or its time-outs expire."""

import time
from collections.abc import Callable

from gateway.database.errors import DatabaseUnavailable, is_refusal
from gateway.runtime import events

EPISODE = 10.0
"""Seconds after the last refusal for which the worker counts as degraded."""


class Refusals:
    """The server's refusals in this worker; the pools of a worker share one of these.

    Many calls meet the same refusal, so only the first of an episode is an event. `clock` gives
    monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reasons: dict[str, str] = {}
        self._last = -EPISODE

    @property
    def problem(self) -> str | None:
        """What the server refused in this episode, as a sentence; None after the episode."""
        if not self._is_current():
            return None
        reasons = (f"{reason} ({sqlstate})" for sqlstate, reason in self._reasons.items())
        return f"the database refuses statements: {'; '.join(reasons)}"

    def record(self, error: DatabaseUnavailable) -> None:
        """Record an error, if it is a refusal; emit the event if it is new in this episode."""
        sqlstate = error.sqlstate
        if sqlstate is None or not is_refusal(sqlstate):
            return
        if not self._is_current():
            self._reasons.clear()
        if sqlstate not in self._reasons:
            events.emit(events.DATABASE_REFUSES, sqlstate=sqlstate, reason=str(error))
            self._reasons[sqlstate] = str(error)
        self._last = self._clock()

    def _is_current(self) -> bool:
        return self._clock() - self._last < EPISODE
