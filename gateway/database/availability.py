"""Whether the database can be used: its own answers decide, and those of a pooler before it."""

import time
from typing import Literal, TypeAlias

from gateway.database.pool import Pool
from gateway.runtime import events

Part: TypeAlias = Literal["database", "pooler"]


class Availability:
    """Tells the pools whether the database can be used, and emits one event for each change.

    `Listener` reports on the database, `PoolerWatch` on the pooler. `warning` is set while the
    database is late: calls go on, and a balancer that knows another gateway prefers that one.
    """

    def __init__(self, *pools: Pool) -> None:
        self._pools = pools
        self.warning: str | None = None
        self._problems: dict[Part, str] = {}
        self._down_since = 0.0

    def report_late(self, seconds: float) -> None:
        """Warn that the database has not answered for so long; it may be down."""
        self.warning = f"the database is late: no answer for {seconds:g} s"

    def report_down(self, part: Part, reason: str) -> None:
        """Refuse all work of the pools: this part does not answer."""
        self.warning = None
        if not self._problems:
            self._down_since = time.monotonic()
            events.emit(events.DATABASE_DOWN, part=part, reason=reason)
        self._problems[part] = f"the {part} does not answer: {reason}"
        self._mark_down()

    def report_up(self, part: Part) -> None:
        """Accept work again, unless the other part is still down."""
        if part == "database":
            self.warning = None
        if not self._problems.pop(part, None):
            return
        if self._problems:
            self._mark_down()
            return
        events.emit(events.DATABASE_UP, seconds=round(time.monotonic() - self._down_since, 1))
        for pool in self._pools:
            pool.mark_up()

    def _mark_down(self) -> None:
        # If both are down, the database is the reason.
        problem = self._problems.get("database") or self._problems["pooler"]
        for pool in self._pools:
            pool.mark_down(problem)
