"""The metrics of the supervisor: files beside those of its workers, whose admin pages show them."""

import os

from prometheus_client import CollectorRegistry

from gateway.runtime import events
from gateway.runtime.events import Event, Fields
from gateway.runtime.metric_catalogue import EVENTS, WORKER_RESTARTS
from gateway.runtime.metrics import FOLDER, choose_storage, create


class SupervisorMetrics:
    """Counts the supervisor's events, and the workers that it starts again.

    `folder` is the folder of metrics that the workers share.
    """

    def __init__(self, folder: str) -> None:
        # The library takes the folder only from this variable.
        os.environ[FOLDER] = folder
        choose_storage("supervisor")
        registry = CollectorRegistry()
        self._restarts = create(WORKER_RESTARTS, registry)
        self._events = create(EVENTS, registry)
        # All values exist from the start, so that the files do not grow later: writing to a
        # memory-mapped file while the disk is full would kill the process.
        for event in (
            events.WORKER_ENDED,
            events.WORKER_HUNG,
            events.WORKER_START_FAILED,
            events.LOG_DROPPED,
        ):
            self._events.labels(event.name, event.level)

    def count_restart(self) -> None:
        """Count a worker that ended unexpectedly."""
        self._restarts.inc()

    def read(self, event: Event, _: Fields) -> None:
        """Count an event."""
        self._events.labels(event.name, event.level).inc()
