"""The metrics of the supervisor, in files beside those of its workers, which show them."""

import os

from prometheus_client import CollectorRegistry, Counter

from gateway.runtime import events
from gateway.runtime.events import Event, Fields
from gateway.runtime.metrics import EVENTS, FOLDER, WORKER_RESTARTS, choose_storage


class SupervisorMetrics:
    """Counts the supervisor's events, and the workers that it starts again.

    `folder` is the one that the workers share.
    """

    def __init__(self, folder: str) -> None:
        # The library finds the folder only here.
        os.environ[FOLDER] = folder
        choose_storage("supervisor")
        registry = CollectorRegistry()
        self._restarts = Counter(*WORKER_RESTARTS, registry=registry)
        self._events = Counter(*EVENTS, registry=registry)
        # With a value from the start, the files take no more of the disk later: writing to a file
        # in memory while the disk is full would end the process.
        for event in (events.WORKER_ENDED, events.WORKER_START_FAILED, events.LOG_DROPPED):
            self._events.labels(event.name, event.level)

    def count_restart(self) -> None:
        """Count a worker that ended by itself."""
        self._restarts.inc()

    def read(self, event: Event, _: Fields) -> None:
        """Read an event: count it."""
        self._events.labels(event.name, event.level).inc()
