"""Whether the server confirms commits: one that waits for a lost standby answers all but these."""

import time

from gateway.runtime import events

PROBLEM = "commits are not confirmed: the server waits for a standby, or its disk does not answer"


class Commits:
    """The state, which the pools of a worker share.

    While `problem` is set, writes are refused. Who writes over a connection outside of the pools
    sets `is_suspected` when its commit is not confirmed in time.
    """

    def __init__(self) -> None:
        self.problem: str | None = None
        self.is_suspected = False
        self._since = 0.0

    def begin_stall(self) -> None:
        """Refuse writes from now on."""
        self.problem = PROBLEM
        self._since = time.monotonic()
        events.emit(events.DATABASE_COMMITS_STALLED)

    def end_stall(self) -> None:
        """Accept writes again."""
        self.problem = None
        seconds = round(time.monotonic() - self._since, 1)
        events.emit(events.DATABASE_COMMITS_RESUMED, seconds=seconds)
