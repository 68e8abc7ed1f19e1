"""Each worker tells the others, through the database, what it is doing."""

import os
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from gateway.database.errors import DatabaseError
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.sql import load_queries
from gateway.monitoring.recent import RecentFaults
from gateway.notifications.kinds import Severity
from gateway.registry.store import WORKER_TIMEOUT
from gateway.runtime import memory
from gateway.runtime.metrics import Fleet, Metrics, WorkerState
from gateway.runtime.periodic import flush_periodically

REPORT_INTERVAL = 5.0
"""Seconds; also the length of a window."""

REPORT_TIMEOUT = 4.0

_NONE_OPEN: dict[str, int] = dict.fromkeys(get_args(Severity), 0)
_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class Reporter:
    """Writes the figures of one worker to the database every few seconds.

    `fleet` has the figures of all workers that the last report returned.
    `settings` are reported as they are: `index` and `max_in_flight`. `state` gives what the metrics
    show now.
    """

    def __init__(
        self,
        pool: Pool,
        metrics: Metrics,
        recent: RecentFaults,
        *,
        worker: UUID,
        settings: Mapping[str, Any],
        state: Callable[[], WorkerState],
    ) -> None:
        self._pool = pool
        self._metrics = metrics
        self._recent = recent
        self._worker = worker
        self._state = state
        self.fleet: Fleet | None = None
        self._fixed = {
            "machine": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": datetime.now(UTC).isoformat(),
            "version": version("plano-gateway"),
            **settings,
        }

    async def run(self) -> None:
        """Report until cancelled, then once more.

        The first report is immediate: it has the worker's machine and index, by which the console
        recognizes the worker that replaces it.
        """
        await self._write()
        await flush_periodically(self._report, REPORT_INTERVAL)

    async def _report(self) -> None:
        self._metrics.windows.close()
        await self._write()

    async def _write(self) -> None:
        database = Database.within(self._pool, REPORT_TIMEOUT)
        windows = [*self._metrics.windows.closed]
        try:
            [row] = await database.fetch(
                _SQL["report"], self._worker, self.figures(), windows, WORKER_TIMEOUT
            )
        except DatabaseError:
            # The windows are kept and written with the next report; the heartbeat has logged it.
            return
        self.fleet = Fleet(workers=row["workers"], notifications=_NONE_OPEN | row["notifications"])

    def figures(self) -> Mapping[str, Any]:
        """What this worker is doing now; sizes in bytes, times in seconds."""
        state = self._state()
        return {
            **self._fixed,
            "in_flight": state.in_flight,
            "bodies": state.bodies,
            "revision": state.revision,
            "revision_since": state.revision_since and state.revision_since.isoformat(),
            "loop_lag": state.loop_lag,
            "memory": memory.resident(),
            "pools": {name: usage._asdict() for name, usage in state.pools.items()},
            "log_dropped": state.log_dropped,
            "recent": self._recent.newest(),
            "services": {
                service.name: [endpoint._asdict() for endpoint in service.endpoints]
                for service in state.services
            },
        }
