"""A circuit breaker: after work was late it refuses more of it for a moment, instead of waiting."""

from collections.abc import Callable


class Breaker:
    """Refuses work for `pause` seconds after it was late; then one attempt shows how it is.

    Such an attempt has `attempt` seconds before another one is made. `clock` gives monotonic
    seconds.
    """

    def __init__(self, *, pause: float, attempt: float, clock: Callable[[], float]) -> None:
        self._pause = pause
        self._attempt = attempt
        self._clock = clock
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the last work was late."""
        return self._open_until is not None

    def admits(self) -> bool:
        """Whether to begin work now; true for one caller at a time until `close`."""
        if self._open_until is None:
            return True
        if self._clock() < self._open_until:
            return False
        self._open_until = self._clock() + self._attempt
        return True

    def open(self) -> None:
        """Refuse work for a moment: it was late."""
        self._open_until = self._clock() + self._pause

    def close(self) -> None:
        """Admit all work again: it was done in time."""
        self._open_until = None
