"""What is counted, for Prometheus. Names follow OpenTelemetry's conventions for HTTP servers.

Workers of one `gateway serve` count in files of one folder, each in a set of its own, and whoever
is asked reads them all. A file is named after its worker's index and not after its process, so
that whoever replaces a dead worker counts on from where it stopped.
"""

import collections
import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import prometheus_client.multiprocess
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.runtime.events import Event, Fields
from gateway.statuses import COMMON, Fault


class Metric(NamedTuple):
    """One row of the table below."""

    name: str
    sentence: str
    labels: tuple[str, ...] = ()


DURATIONS = Metric(
    "http_server_request_duration_seconds",
    "Histogram of the time from a request's head to the end of its answer.",
    ("http_request_method", "http_route", "http_response_status_code", "status"),
)
ANSWERS = Metric(
    "gateway_answers_total",
    "Requests, by the status of their answer and by whose fault it is.",
    ("status", "fault"),
)
ACTIVE = Metric("http_server_active_requests", "Requests that are being handled.")
REVISION = Metric(
    "gateway_registry_revision",
    "Revision of the registry that a worker serves; of several workers `pid` says which.",
)
DEGRADED = Metric(
    "gateway_registry_degraded",
    "Workers that cannot follow the registry, and serve what they have.",
)
UNAVAILABLE = Metric(
    "gateway_database_unavailable", "Workers that get no answer from the database."
)
OUTBOX = Metric(
    "gateway_outbox_messages",
    "Messages that are not sent yet: waiting for the next attempt, or parked.",
    ("state",),
)
EVENTS = Metric(
    "gateway_events_total",
    "Events of the catalogue, by name and level; requests are counted apart.",
    ("event", "level"),
)
METRICS = (DURATIONS, ANSWERS, ACTIVE, REVISION, DEGRADED, UNAVAILABLE, OUTBOX, EVENTS)

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
OTHER_METHOD = "_OTHER"

MAX_LABEL_SETS = 1000
"""Distinct sets of labels that a worker counts apart; each is 17 lines of the text."""

OTHER = "other"
"""The route of all that comes after those, and its status if that is a route's own."""

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The library takes the folder of several workers from this variable alone."""

_Labels: TypeAlias = tuple[str, str, int | None, str]

# Parts of the library have no types.
_library: Any = prometheus_client

# A time of birth for each set of labels is two more lines of text that nobody asked for.
_library.disable_created_metrics()


class _Set(NamedTuple):
    """One set of labels: its numbers in the library, and what they do not hold yet."""

    durations: Histogram
    answers: Counter
    waiting: list[float]

    def flush(self) -> None:
        """Add what waits to the numbers, bucket by bucket.

        The library's own way is request by request, at several times the price.
        """
        found = collections.Counter(bisect_left(BUCKETS, seconds) for seconds in self.waiting)
        for bucket, count in found.items():
            self.durations._buckets[bucket].inc(count)  # noqa: SLF001
        self.durations._sum.inc(sum(self.waiting))  # noqa: SLF001
        self.answers.inc(len(self.waiting))
        self.waiting.clear()


class Metrics:
    """The counts of a worker; `worker_index` is its number among several, None if it is alone.

    A request only notes how long it took; `flush` does the rest, for many at once.
    """

    def __init__(self, worker_index: int | None = None) -> None:
        _choose_numbers(worker_index)
        self._registry = registry = CollectorRegistry()
        self._durations = Histogram(*DURATIONS, buckets=BUCKETS, registry=registry)
        self._answers = Counter(*ANSWERS, registry=registry)
        self._active = Gauge(*ACTIVE, registry=registry, multiprocess_mode="livesum")
        self._revision = Gauge(*REVISION, registry=registry, multiprocess_mode="liveall")
        self._degraded = Gauge(*DEGRADED, registry=registry, multiprocess_mode="livesum")
        self._unavailable = Gauge(*UNAVAILABLE, registry=registry, multiprocess_mode="livesum")
        # All workers count the same rows: whoever counted last is right.
        self._outbox = Gauge(*OUTBOX, registry=registry, multiprocess_mode="livemostrecent")
        self._events = Counter(*EVENTS, registry=registry)
        self._new_events: collections.Counter[Event] = collections.Counter()
        self._sets: dict[_Labels, _Set] = {}
        self._shown = self._of_one() if worker_index is None else self._of_all()

    def _of_one(self) -> CollectorRegistry:
        ProcessCollector(registry=self._registry)
        return self._registry

    @staticmethod
    def _of_all() -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(_AllWorkers(os.environ[FOLDER]))
        return registry

    def count(
        self, route: str, method: str, code: int | None, status: str, fault: Fault, seconds: float
    ) -> None:
        """One request and its answer; `code` is None where nobody waited for one."""
        labels = (route, method if method in METHODS else OTHER_METHOD, code, status)
        found = self._sets.get(labels) or self._set_of(labels, fault)
        found.waiting.append(seconds)

    def read(self, event: Event, _: Fields) -> None:
        """A reader of events: count one more."""
        self._new_events[event] += 1

    def _set_of(self, labels: _Labels, fault: Fault) -> _Set:
        if len(self._sets) >= MAX_LABEL_SETS:
            labels = _folded(labels)
        if labels not in self._sets:
            route, method, code, status = labels
            durations = self._durations.labels(method, route, "" if code is None else code, status)
            self._sets[labels] = _Set(durations, self._answers.labels(status, fault), [])
        return self._sets[labels]

    def flush(
        self,
        *,
        in_flight: int,
        revision: int,
        degraded: bool,
        database_unavailable: bool,
        outbox: Mapping[str, int],
    ) -> None:
        """Bring everything up to date; the arguments say how this worker is now."""
        for each in self._sets.values():
            if each.waiting:
                each.flush()
        for event, count in self._new_events.items():
            self._events.labels(event.name, event.level).inc(count)
        self._new_events.clear()
        self._active.set(in_flight)
        self._revision.set(revision)
        self._degraded.set(degraded)
        self._unavailable.set(database_unavailable)
        for state, count in outbox.items():
            self._outbox.labels(state).set(count)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Everything of all workers, in a form that the reader accepts, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._shown), content_type


def drop_worker(worker_index: int, folder: str) -> None:
    """Drop the gauges of a worker that died; what it counted stays."""
    _library.multiprocess.mark_process_dead(worker_index, folder)


def _choose_numbers(worker_index: int | None) -> None:
    """Count in memory, or in the files of one worker among several.

    The library alone would go by `FOLDER`, which may be set for another program, and would name
    files by process: each worker that dies would leave some behind.
    """
    values = _library.values
    values.ValueClass = (
        values.MutexValue
        if worker_index is None
        else values.MultiProcessValue(lambda: str(worker_index))
    )


class _AllWorkers(Collector):
    """Sums the files of all workers, over those that come and go meanwhile."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Any]:
        """What the library sums up; it cannot read a file that was made and not yet filled."""
        files = [str(file) for file in Path(self._folder).glob("*.db") if _is_filled(file)]
        found: Iterable[Any] = _library.multiprocess.MultiProcessCollector.merge(files)
        return found


def _is_filled(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _folded(labels: _Labels) -> _Labels:
    """Labels that can only have so many values, however many routes there are."""
    route, method, code, status = labels
    return OTHER if route else "", method, code, status if status in COMMON else OTHER
