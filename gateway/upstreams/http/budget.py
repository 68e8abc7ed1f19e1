"""Budget: retries are a share of the calls, so that they never multiply an overload."""

CALLS_PER_RETRY = 5
RESERVE = 10
MAX_SAVED = 100
"""Retries that are allowed before there were calls, and that calls may save up."""


class RetryBudget:
    """Each call deposits a fifth of a retry, and each retry withdraws one."""

    __slots__ = ("_saved",)

    def __init__(self) -> None:
        self._saved = RESERVE * CALLS_PER_RETRY

    def deposit(self) -> None:
        """Count a call."""
        self._saved = min(self._saved + 1, MAX_SAVED * CALLS_PER_RETRY)

    def withdraw(self) -> bool:
        """Take a retry; False if none is left."""
        if self._saved < CALLS_PER_RETRY:
            return False
        self._saved -= CALLS_PER_RETRY
        return True
