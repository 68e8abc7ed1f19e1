"""Metrics for Prometheus, named after OpenTelemetry's conventions for HTTP servers.

The workers of one `gateway serve` count in files of one shared folder, each in its own files; the
worker that gets a request for the metrics reads all of them. Files are named after the worker's
index and not after its process, so that the worker that replaces a dead one continues its counts.
"""

import collections
import math
import os
import platform
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import prometheus_client.multiprocess
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.runtime import metric_catalogue as catalogue
from gateway.runtime.events import Event, Fields
from gateway.runtime.metric_catalogue import Combine, Metric
from gateway.runtime.service_usage import EJECTED, EndpointUsage, ServiceUsage
from gateway.runtime.windows import Windows
from gateway.statuses import COMMON, Fault

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

_MODES: Mapping[Combine, Any] = {
    "sum": "livesum",
    "max": "livemax",
    "each": "liveall",
    "newest": "livemostrecent",
}


class PoolUsage(NamedTuple):
    """How a pool of database connections is used now: connections and waiting calls.

    The time-outs are totals of the process.
    """

    in_use: int
    idle: int
    waiting: int
    waiting_bulkhead: int
    waiting_timeouts: int
    statement_timeouts: int


class Fleet(NamedTuple):
    """Figures of all machines that share the database.

    `workers` counts live workers, `notifications` the open ones by severity.
    """

    workers: int
    notifications: Mapping[str, int]


class WorkerState(NamedTuple):
    """The current state of a worker, as its metrics show it.

    `outbox` counts messages by state, `oldest` has ages in seconds by kind of message, `pools` has
    the pools by name. `loop_lag` and `snapshot_age` are in seconds. `fleet` is None before the
    first answer of the database; `revision_since` is when the revision began to be served.
    `tokens` and `reads`, by source, `log_dropped` lines and `out_of_descriptors` seconds are totals
    of the process.
    """

    in_flight: int = 0
    bodies: int = 0
    revision: int = 0
    degraded: bool = False
    database_unavailable: bool = False
    asynchronous_standbys: int = 0
    outbox: Mapping[str, int] = MappingProxyType({})
    oldest: Mapping[str, float] = MappingProxyType({})
    log_dropped: int = 0
    loop_lag: float = 0.0
    out_of_descriptors: int = 0
    pools: Mapping[str, PoolUsage] = MappingProxyType({})
    tokens: Mapping[str, int] = MappingProxyType({})
    reads: Mapping[str, int] = MappingProxyType({})
    snapshot_age: float = math.inf
    fleet: Fleet | None = None
    revision_since: datetime | None = None
    services: Sequence[ServiceUsage] = ()


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
        self._durations = create_histogram(registry)
        self._metrics = {
            metric: create(metric, registry)
            for metric in catalogue.METRICS
            if metric is not catalogue.DURATIONS
        }
        self._totals: dict[Counter, float] = {}
        self._set(catalogue.BUILD, 1, version("plano-gateway"), platform.python_version())
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
            answers = self._metrics[catalogue.ANSWERS].labels(status, fault)
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
            self._metrics[catalogue.EVENTS].labels(event.name, event.level).inc(count)
        self._flush_state(state)
        self._flush_database(state)
        self._flush_pools(state.pools)
        for service in state.services:
            self._flush_service(service)

    def _flush_state(self, state: WorkerState) -> None:
        self._set(catalogue.ACTIVE, state.in_flight)
        self._set(catalogue.BODIES, state.bodies)
        self._set(catalogue.REVISION, state.revision)
        self._set(catalogue.DEGRADED, state.degraded)
        self._set(catalogue.SNAPSHOT_AGE, state.snapshot_age)
        self._set(catalogue.UNAVAILABLE, state.database_unavailable)
        self._set(catalogue.ASYNCHRONOUS, state.asynchronous_standbys)
        self._set(catalogue.LOOP_LAG, state.loop_lag)
        self._advance(catalogue.LOG_DROPPED, state.log_dropped)
        self._advance(catalogue.NO_DESCRIPTORS, state.out_of_descriptors)
        for source, total in state.tokens.items():
            self._advance(catalogue.TOKENS, total, source)
        for source, total in state.reads.items():
            self._advance(catalogue.READS, total, source)

    def _flush_database(self, state: WorkerState) -> None:
        """Set the figures of all workers, which every worker reads from the database."""
        for name, count in state.outbox.items():
            self._set(catalogue.OUTBOX, count, name)
        for kind, seconds in state.oldest.items():
            self._set(catalogue.OLDEST, seconds, kind)
        if state.fleet:
            self._set(catalogue.WORKERS, state.fleet.workers)
            for severity, count in state.fleet.notifications.items():
                self._set(catalogue.NOTIFICATIONS, count, severity)

    def _flush_pools(self, pools: Mapping[str, PoolUsage]) -> None:
        for pool, usage in pools.items():
            self._set(catalogue.CONNECTIONS, usage.in_use, pool, "in-use")
            self._set(catalogue.CONNECTIONS, usage.idle, pool, "idle")
            self._set(catalogue.WAITING, usage.waiting, pool, "connection")
            self._set(catalogue.WAITING, usage.waiting_bulkhead, pool, "bulkhead")
            self._advance(catalogue.TIMEOUTS, usage.waiting_timeouts, pool, "waiting")
            self._advance(catalogue.TIMEOUTS, usage.statement_timeouts, pool, "statement")

    def _flush_service(self, service: ServiceUsage) -> None:
        name = service.name
        self._set(catalogue.SERVICE_CALLS, service.in_flight, name, "in-flight")
        self._set(catalogue.SERVICE_CALLS, service.waiting, name, "waiting")
        states = collections.Counter(_state(endpoint) for endpoint in service.endpoints)
        for state in ("in-use", "ejected", "unusable"):
            self._set(catalogue.SERVICE_ENDPOINTS, states[state], name, state)
        self._advance(catalogue.SERVICE_RETRIES, service.retries, name)
        self._advance(catalogue.SERVICE_SHED, service.shed, name)
        for url, totals in service.totals.items():
            for outcome, count in totals.attempts.items():
                self._advance(catalogue.SERVICE_ATTEMPTS, count, name, url, outcome)
            self._advance(catalogue.SERVICE_SECONDS, totals.seconds, name, url)
            self._advance(catalogue.SERVICE_EJECTIONS, totals.ejections, name, url)

    def _set(self, metric: Metric, value: float, *labels: str) -> None:
        gauge = self._metrics[metric]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def _advance(self, metric: Metric, total: float, *labels: str) -> None:
        """Add the growth of a total of this process since the last call."""
        counter = self._metrics[metric]
        child = counter.labels(*labels) if labels else counter
        child.inc(total - self._totals.get(child, 0))
        self._totals[child] = total

    def text(self, accept: str) -> tuple[bytes, str]:
        """The metrics of all workers in a format of the `Accept` header, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._exported), content_type


def _state(endpoint: EndpointUsage) -> str:
    if not endpoint.problem:
        return "in-use"
    return "ejected" if endpoint.problem == EJECTED else "unusable"


def create(metric: Metric, registry: CollectorRegistry) -> Any:  # noqa: ANN401 - as the library
    """A counter or a gauge of the catalogue; without labels it is 0 from the start."""
    arguments = metric.name, metric.sentence, metric.labels
    if metric.kind == "counter":
        return Counter(*arguments, registry=registry)
    return Gauge(*arguments, registry=registry, multiprocess_mode=_MODES[metric.combine])


def create_histogram(registry: CollectorRegistry) -> Histogram:
    """The histogram of the requests' durations."""
    metric = catalogue.DURATIONS
    return Histogram(
        metric.name, metric.sentence, metric.labels, buckets=BUCKETS, registry=registry
    )


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
