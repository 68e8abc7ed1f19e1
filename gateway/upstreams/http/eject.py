"""Eject: an endpoint that fails gets no calls for a while, then one, which decides."""

FAULTS = 5
"""Faults in a row that eject an endpoint."""

FAILED_CHECKS = 3
"""Failed health checks in a row that eject it."""

MIN_PAUSE = 1.0
MAX_PAUSE = 60.0
"""Seconds of an ejection, doubled after each probe that fails."""


class Ejector:
    """The state of one endpoint: in use, ejected, or ejected while a call probes it.

    `ejections` counts how often it was ejected.
    """

    __slots__ = ("_ejected_at", "_faults", "_pause", "ejections", "is_probed")

    def __init__(self) -> None:
        self._faults = 0
        self._pause = MIN_PAUSE
        self._ejected_at: float | None = None
        self.ejections = 0
        self.is_probed = False

    @property
    def is_ejected(self) -> bool:
        """Whether it gets no calls but probes."""
        return self._ejected_at is not None

    def is_due(self, now: float, *, is_last: bool) -> bool:
        """Whether it may be probed; `is_last` if no other endpoint is in use."""
        if self._ejected_at is None or self.is_probed:
            return False
        return now >= self._ejected_at + (MIN_PAUSE if is_last else self._pause)

    def succeed(self) -> bool:
        """Note that it answered. Returns whether that ends an ejection."""
        was_ejected = self.is_ejected
        self._faults = 0
        self._pause = MIN_PAUSE
        self._ejected_at = None
        return was_ejected

    def fail(self, now: float) -> bool:
        """Note that a call failed. Returns whether that ejects it.

        A call that was in flight when it was ejected changes nothing.
        """
        if self.is_ejected:
            return False
        self._faults += 1
        if self._faults < FAULTS:
            return False
        self.eject(now)
        return True

    def fail_probe(self, now: float) -> None:
        """Note that a probe failed: the next one comes after twice the time."""
        self._ejected_at, self._pause = now, min(2 * self._pause, MAX_PAUSE)

    def eject(self, now: float) -> None:
        """Eject it."""
        self._ejected_at = now
        self.ejections += 1
