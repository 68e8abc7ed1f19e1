"""Metrics for Prometheus, named after OpenTelemetry's conventions for HTTP servers.

The workers of one `gateway serve` count in files of one shared folder, each in its own files; the
worker that gets a request for the metrics reads all of them. Files are named after the worker's
index and not after its process, so that the worker that replaces a dead one continues its counts.
"""

import collections
import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import prometheus_client.multiprocess
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.runtime.events import Event, Fields
from gateway.runtime.windows import Windows
from gateway.statuses import COMMON, Fault


class Metric(NamedTuple):
    """A metric: its name, its help text, and the names of its labels."""

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
BODIES = Metric("gateway_bodies", "Bodies that are being read; those requests are not active yet.")
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
OLDEST = Metric(
    "gateway_outbox_oldest_seconds",
    "Age of the oldest message that waits to be sent, by kind (`mail`, `webhook`); 0 if none.",
    ("kind",),
)
EVENTS = Metric(
    "gateway_events_total",
    "Events of the catalogue, by name and level; requests are counted apart.",
    ("event", "level"),
)
LOG_DROPPED = Metric(
    "gateway_log_lines_dropped_total",
    "Lines of the log that were dropped, because they were not read or the disk was full.",
)
LOOP_LAG = Metric(
    "gateway_event_loop_lag_seconds",
    "The longest delay of the event loop in the last second, of the slowest worker.",
)
WORKER_RESTARTS = Metric(
    "gateway_worker_restarts_total",
    "Workers that ended unexpectedly and were restarted by the supervisor; 0 if there is no "
    "supervisor, as with one worker.",
)
NO_DESCRIPTORS = Metric(
    "gateway_out_of_descriptors_seconds_total",
    "Seconds in which a worker had no file descriptor left, and dropped new connections.",
)
CONNECTIONS = Metric(
    "gateway_database_connections",
    "Connections to the database, by pool (`calls`, `lookup`, `outbox`, `background`) and by state "
    "(`in-use`, `idle`).",
    ("pool", "state"),
)
WAITING = Metric(
    "gateway_database_waiting",
    "Calls that wait for a connection, or for one of the connections that a single route may use "
    "(`bulkhead`).",
    ("pool", "reason"),
)
METRICS = (
    *(DURATIONS, ANSWERS, ACTIVE, BODIES, REVISION, DEGRADED, UNAVAILABLE, OUTBOX, OLDEST, EVENTS),
    *(LOG_DROPPED, WORKER_RESTARTS, LOOP_LAG, NO_DESCRIPTORS, CONNECTIONS, WAITING),
)

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
OTHER_METHOD = "_OTHER"

MAX_LABEL_SETS = 1000
"""Distinct sets of labels that a worker counts separately; each is 17 lines of text."""

OTHER = "other"
"""The label for the routes beyond that maximum, and for those routes' own statuses."""

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable from which the library takes the folder that several workers share."""


class PoolUsage(NamedTuple):
    """How a pool of database connections is used now: connections and waiting calls."""

    in_use: int
    idle: int
    waiting: int
    waiting_bulkhead: int


class WorkerState(NamedTuple):
    """The current state of a worker, as its metrics show it.

    `outbox` counts messages by state, `oldest` has ages in seconds by kind of message, `pools` has
    the pools by name. `loop_lag` is in seconds; `log_dropped` lines and `out_of_descriptors`
    seconds are totals of the process.
    """

    in_flight: int = 0
    bodies: int = 0
    revision: int = 0
    degraded: bool = False
    database_unavailable: bool = False
    outbox: Mapping[str, int] = MappingProxyType({})
    oldest: Mapping[str, float] = MappingProxyType({})
    log_dropped: int = 0
    loop_lag: float = 0.0
    out_of_descriptors: int = 0
    pools: Mapping[str, PoolUsage] = MappingProxyType({})


_Labels: TypeAlias = tuple[str, str, int | None, str]

# Parts of the library have no types.
_library: Any = prometheus_client

# The creation times of the time series would add two lines for each set of labels.
_library.disable_created_metrics()


class _Series(NamedTuple):
    """The metrics of one set of labels, and the durations that they do not include yet."""

    durations: Histogram
    answers: Counter
    fault: Fault
    unflushed: list[float]

    def flush(self) -> None:
        """Add the new durations, bucket by bucket.

        The library's own `observe` works request by request, at several times the cost.
        """
        counts = collections.Counter(bisect_left(BUCKETS, seconds) for seconds in self.unflushed)
        for bucket, count in counts.items():
            self.durations._buckets[bucket].inc(count)  # noqa: SLF001
        self.durations._sum.inc(sum(self.unflushed))  # noqa: SLF001
        self.answers.inc(len(self.unflushed))
        self.unflushed.clear()


class Metrics:
    """The metrics of a worker; `worker_index` is its number among several, None if it is alone.

    A request only appends its duration; `flush` does the rest, for many requests at once, and
    counts them in `windows` too.
    """

    def __init__(self, worker_index: int | None = None) -> None:
        choose_storage(worker_index)
        self._registry = registry = CollectorRegistry()
        self._durations = Histogram(*DURATIONS, buckets=BUCKETS, registry=registry)
        self._answers = Counter(*ANSWERS, registry=registry)
        self._active = Gauge(*ACTIVE, registry=registry, multiprocess_mode="livesum")
        self._bodies = Gauge(*BODIES, registry=registry, multiprocess_mode="livesum")
        self._revision = Gauge(*REVISION, registry=registry, multiprocess_mode="liveall")
        self._degraded = Gauge(*DEGRADED, registry=registry, multiprocess_mode="livesum")
        self._unavailable = Gauge(*UNAVAILABLE, registry=registry, multiprocess_mode="livesum")
        # All workers count the same rows: the most recent count is right.
        self._outbox = Gauge(*OUTBOX, registry=registry, multiprocess_mode="livemostrecent")
        self._oldest = Gauge(*OLDEST, registry=registry, multiprocess_mode="livemostrecent")
        self._events = Counter(*EVENTS, registry=registry)
        self._log_dropped = Counter(*LOG_DROPPED, registry=registry)
        self._known_dropped = 0
        # Shown as 0 until the supervisor counts one: an increase needs a value to start from.
        Counter(*WORKER_RESTARTS, registry=registry)
        self._no_descriptors = Counter(*NO_DESCRIPTORS, registry=registry)
        self._known_no_descriptors = 0
        self._loop_lag = Gauge(*LOOP_LAG, registry=registry, multiprocess_mode="livemax")
        self._connections = Gauge(*CONNECTIONS, registry=registry, multiprocess_mode="livesum")
        self._waiting = Gauge(*WAITING, registry=registry, multiprocess_mode="livesum")
        self._new_events: collections.Counter[Event] = collections.Counter()
        self._series: dict[_Labels, _Series] = {}
        self.windows = Windows()
        self._exported = self._own_metrics() if worker_index is None else self._metrics_of_all()

    def _own_metrics(self) -> CollectorRegistry:
        ProcessCollector(registry=self._registry)
        return self._registry

    @staticmethod
    def _metrics_of_all() -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(_AllWorkers(os.environ[FOLDER]))
        return registry

    def count(
        self, route: str, method: str, code: int | None, status: str, fault: Fault, seconds: float
    ) -> None:
        """Count one request; `code` is None if the client left before there was an answer."""
        labels = (route, method if method in METHODS else OTHER_METHOD, code, status)
        series = self._series.get(labels) or self._create_series(labels, fault)
        series.unflushed.append(seconds)

    def read(self, event: Event, _: Fields) -> None:
        """Read an event: count it."""
        self._new_events[event] += 1

    def _create_series(self, labels: _Labels, fault: Fault) -> _Series:
        """The series for new labels; beyond the maximum, that of the labels `other`."""
        if len(self._series) >= MAX_LABEL_SETS:
            labels = _without_names(labels)
        if labels not in self._series:
            route, method, code, status = labels
            durations = self._durations.labels(method, route, "" if code is None else code, status)
            answers = self._answers.labels(status, fault)
            self._series[labels] = _Series(
                durations=durations, answers=answers, fault=fault, unflushed=[]
            )
        return self._series[labels]

    def flush(self, state: WorkerState) -> None:
        """Bring all metrics up to date."""
        for (route, _, _, status), series in self._series.items():
            if series.unflushed:
                self.windows.add(route, status, series.fault, series.unflushed)
                series.flush()
        # Exchanged first: another thread may emit an event meanwhile.
        new_events, self._new_events = self._new_events, collections.Counter()
        for event, count in list(new_events.items()):
            self._events.labels(event.name, event.level).inc(count)
        self._flush_state(state)
        self._flush_pools(state.pools)

    def _flush_state(self, state: WorkerState) -> None:
        self._active.set(state.in_flight)
        self._bodies.set(state.bodies)
        self._revision.set(state.revision)
        self._degraded.set(state.degraded)
        self._unavailable.set(state.database_unavailable)
        self._loop_lag.set(state.loop_lag)
        for name, count in state.outbox.items():
            self._outbox.labels(name).set(count)
        for kind, seconds in state.oldest.items():
            self._oldest.labels(kind).set(seconds)
        self._log_dropped.inc(state.log_dropped - self._known_dropped)
        self._known_dropped = state.log_dropped
        self._no_descriptors.inc(state.out_of_descriptors - self._known_no_descriptors)
        self._known_no_descriptors = state.out_of_descriptors

    def _flush_pools(self, pools: Mapping[str, PoolUsage]) -> None:
        for pool, usage in pools.items():
            self._connections.labels(pool, "in-use").set(usage.in_use)
            self._connections.labels(pool, "idle").set(usage.idle)
            self._waiting.labels(pool, "connection").set(usage.waiting)
            self._waiting.labels(pool, "bulkhead").set(usage.waiting_bulkhead)

    def text(self, accept: str) -> tuple[bytes, str]:
        """The metrics of all workers in a format of the `Accept` header, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._exported), content_type


def drop_worker(worker_index: int, folder: str) -> None:
    """Drop the gauges of a worker that died; its counters stay."""
    _library.multiprocess.mark_process_dead(worker_index, folder)


def choose_storage(owner: int | str | None) -> None:
    """Count in memory, or in the files of an owner: one of several workers, or their supervisor.

    By itself the library would decide by `FOLDER`, which may be set for another program, and would
    name files by process: each worker that dies would leave some behind.
    """
    values = _library.values
    values.ValueClass = (
        values.MutexValue if owner is None else values.MultiProcessValue(lambda: str(owner))
    )


class _AllWorkers(Collector):
    """Sums the files of all workers, while workers start and stop."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Any]:
        """The merged metrics; the library cannot read files that were created but are empty."""
        files = [str(file) for file in Path(self._folder).glob("*.db") if _is_filled(file)]
        metrics: Iterable[Any] = _library.multiprocess.MultiProcessCollector.merge(files)
        return metrics


def _is_filled(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _without_names(labels: _Labels) -> _Labels:
    """Labels without the names of routes and of their own statuses, which have no bound."""
    route, method, code, status = labels
    return OTHER if route else "", method, code, status if status in COMMON else OTHER
