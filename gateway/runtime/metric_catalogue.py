"""The catalogue of metrics: the documentation's table and the dashboard come from here.

`metrics.py` counts them. A test compares the catalogue with what `/-/metrics` shows.
"""

from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

Combine: TypeAlias = Literal["sum", "max", "each", "newest"]
"""How a gauge combines the values of several workers: their sum, the largest, or each of them.

`newest` is for a figure of the whole database, which every worker reads: the gauge has the value
that was read last.
"""


class Metric(NamedTuple):
    """A metric; `sentence` is its help text. Durations are in seconds, as the name says."""

    name: str
    kind: Kind
    sentence: str
    labels: tuple[str, ...] = ()
    combine: Combine = "sum"


DURATIONS = Metric(
    "http_server_request_duration_seconds",
    "histogram",
    "Time from a request's head to the end of its answer.",
    ("http_request_method", "http_route", "http_response_status_code", "status"),
)
ANSWERS = Metric(
    "gateway_answers_total",
    "counter",
    "Requests, by the status of their answer and by whose fault it is.",
    ("status", "fault"),
)
ACTIVE = Metric("http_server_active_requests", "gauge", "Requests that are being handled.")
BODIES = Metric(
    "gateway_bodies", "gauge", "Bodies that are being read; those requests are not active yet."
)
BUILD = Metric(
    "gateway_build_info",
    "gauge",
    "Always 1; the labels have the versions of the gateway and of Python.",
    ("version", "python"),
    combine="max",
)
WORKERS = Metric(
    "gateway_workers",
    "gauge",
    "Workers, on all machines that share the database, that have sent a heartbeat in the last "
    "10 s. The value does not change while the database is away.",
    combine="newest",
)
WORKER_RESTARTS = Metric(
    "gateway_worker_restarts_total",
    "counter",
    "Workers that ended unexpectedly and were restarted by the supervisor; 0 if there is no "
    "supervisor, as with one worker.",
)
LOOP_LAG = Metric(
    "gateway_event_loop_lag_seconds",
    "gauge",
    "The longest delay of the event loop in the last second, of the slowest worker.",
    combine="max",
)
NO_DESCRIPTORS = Metric(
    "gateway_out_of_descriptors_seconds_total",
    "counter",
    "Seconds in which a worker had no file descriptor left, and dropped new connections.",
)
REVISION = Metric(
    "gateway_registry_revision",
    "gauge",
    "Revision of the registry that a worker serves; of several workers `pid` says which.",
    combine="each",
)
DEGRADED = Metric(
    "gateway_registry_degraded",
    "gauge",
    "Workers that cannot follow the registry, and serve what they have.",
)
SNAPSHOT_AGE = Metric(
    "gateway_registry_snapshot_age_seconds",
    "gauge",
    "Age of the registry's snapshot on disk, which is written after each new revision; `+Inf` if "
    "there is none. Without a snapshot, a worker cannot start while the database is away.",
    combine="max",
)
TOKENS = Metric(
    "gateway_token_lookups_total",
    "counter",
    "Token look-ups, by the source of the answer: the worker's `cache`, the `database`, or an "
    "older answer of a database that is late or unavailable (`stale`).",
    ("source",),
)
READS = Metric(
    "gateway_replica_reads_total",
    "counter",
    "Reads of routes that have `reads` in the manifest, by the server that answered: a `replica`, "
    "or the `primary`, if no replica was known to be new enough.",
    ("source",),
)
UNAVAILABLE = Metric(
    "gateway_database_unavailable",
    "gauge",
    "Workers that get no answer from the database, or no confirmation of commits.",
)
ASYNCHRONOUS = Metric(
    "gateway_database_asynchronous_standbys",
    "gauge",
    "Standbys of the database, if commits wait for none of them, so that a fail-over loses "
    "acknowledged writes; otherwise 0. The worker that does maintenance looks once a minute; all "
    "others, on all machines, have 0.",
    combine="max",
)
CONNECTIONS = Metric(
    "gateway_database_connections",
    "gauge",
    "Connections to the database, by pool (`calls`, `lookup`, `outbox`, `background`) and by state "
    "(`in-use`, `idle`).",
    ("pool", "state"),
)
WAITING = Metric(
    "gateway_database_waiting",
    "gauge",
    "Calls that wait for a connection, or for one of the connections that a single route may use "
    "(`bulkhead`).",
    ("pool", "reason"),
)
TIMEOUTS = Metric(
    "gateway_database_timeouts_total",
    "counter",
    "Deadlines that passed, by pool and reason: during the wait for a connection (`waiting`), or "
    "for the answer to a statement (`statement`).",
    ("pool", "reason"),
)
OUTBOX = Metric(
    "gateway_outbox_messages",
    "gauge",
    "Messages that are not sent yet: waiting for the next attempt, or parked.",
    ("state",),
    combine="newest",
)
OLDEST = Metric(
    "gateway_outbox_oldest_seconds",
    "gauge",
    "Age of the oldest message that waits to be sent, by kind (`mail`, `webhook`); 0 if none.",
    ("kind",),
    combine="newest",
)
NOTIFICATIONS = Metric(
    "gateway_notifications_open",
    "gauge",
    "Notifications that are not resolved, by severity. The value does not change while the "
    "database is away.",
    ("severity",),
    combine="newest",
)
EVENTS = Metric(
    "gateway_events_total",
    "counter",
    "Events of the catalogue, by name and level; requests are counted apart.",
    ("event", "level"),
)
LOG_DROPPED = Metric(
    "gateway_log_lines_dropped_total",
    "counter",
    "Lines of the log that were dropped, because they were not read or the disk was full.",
)
SERVICE_CALLS = Metric(
    "gateway_service_calls",
    "gauge",
    "Calls of a service of `kind: http`, by state (`in-flight`, `waiting` for its bulkhead).",
    ("service", "state"),
)
SERVICE_ENDPOINTS = Metric(
    "gateway_service_endpoints",
    "gauge",
    "Addresses of a service's endpoints, by state (`in-use`, `ejected`, `unusable`), added up over "
    "the workers.",
    ("service", "state"),
)
SERVICE_ATTEMPTS = Metric(
    "gateway_service_attempts_total",
    "counter",
    "Attempts at calls, by endpoint and outcome: `answered` as the route documents, "
    "`undocumented`, `unavailable`, or `cancelled` because the client left.",
    ("service", "endpoint", "outcome"),
)
SERVICE_SECONDS = Metric(
    "gateway_service_attempt_seconds_total",
    "counter",
    "Seconds that these attempts took in total.",
    ("service", "endpoint"),
)
SERVICE_RETRIES = Metric(
    "gateway_service_retries_total",
    "counter",
    "Attempts that followed a failed one; at most a fifth of the calls, beyond a reserve.",
    ("service",),
)
SERVICE_SHED = Metric(
    "gateway_service_shed_total",
    "counter",
    "Calls refused because the service had too many calls in flight and waiting, or none ended in "
    "time.",
    ("service",),
)
SERVICE_EJECTIONS = Metric(
    "gateway_service_ejections_total",
    "counter",
    "Ejections of endpoints, in all workers.",
    ("service", "endpoint"),
)
METRICS = (
    *(DURATIONS, ANSWERS, ACTIVE, BODIES),
    *(BUILD, WORKERS, WORKER_RESTARTS, LOOP_LAG, NO_DESCRIPTORS),
    *(REVISION, DEGRADED, SNAPSHOT_AGE, TOKENS),
    *(UNAVAILABLE, ASYNCHRONOUS, READS, CONNECTIONS, WAITING, TIMEOUTS),
    *(OUTBOX, OLDEST, NOTIFICATIONS, EVENTS, LOG_DROPPED),
    *(SERVICE_CALLS, SERVICE_ENDPOINTS, SERVICE_ATTEMPTS, SERVICE_SECONDS),
    *(SERVICE_RETRIES, SERVICE_SHED, SERVICE_EJECTIONS),
)
BY_NAME = {metric.name: metric for metric in METRICS}
