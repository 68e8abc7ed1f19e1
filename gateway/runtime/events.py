"""The catalogue of events; the log, the metrics and the notifications read them.

An event is emitted once, with its name and its fields. Values are never part of a sentence, so that
a log can be filtered by `request_id`, `message_id` or `attempt`. The model is PostgREST's
`Observation` and Oban's `Telemetry`. The table in the documentation is generated from `CATALOGUE`,
and a test checks the fields of every `emit` against it.
"""

# Their names are those of this module, for whom emits and reads events.
from gateway.runtime.database_events import *  # noqa: F403 - one catalogue, two files
from gateway.runtime.emitter import Event as Event  # noqa: PLC0414
from gateway.runtime.emitter import Fields as Fields  # noqa: PLC0414
from gateway.runtime.emitter import emit as emit  # noqa: PLC0414
from gateway.runtime.emitter import subscribe as subscribe  # noqa: PLC0414

REQUEST = Event(
    "request",
    "info",
    (
        *("request_id", "method", "path", "route", "caller", "address", "status", "code"),
        *("revision", "ms"),
    ),
    "A request ended: the access line. Its level is `error` if the gateway or a dependency is at "
    "fault.",
)
REQUEST_CRASHED = Event(
    "request.crashed",
    "error",
    ("request_id", "route", "error", "place"),
    "A request met an unexpected error; `trace` has its frames. Raises a notification.",
)
REQUEST_ANSWER_MISFIT = Event(
    "request.answer-misfit",
    "error",
    ("request_id", "route", "rule"),
    "An answer does not fit the route's `returns`; `rule` is the place in that schema. The caller "
    "got the answer. Raises a notification.",
)
REQUEST_UNAVAILABLE = Event(
    "request.unavailable",
    "warning",
    ("request_id", "reason", "more"),
    "A request was refused because the database cannot be used. At most one line a second, and "
    "none during an outage, which has events of its own; `more` counts the requests since the last "
    "one.",
)
EDGE_PROXY_REFUSED = Event(
    "edge.proxy-refused",
    "warning",
    ("peer", "reason"),
    "A connection from a trusted proxy was closed, because it did not begin with a valid header of "
    "the PROXY protocol.",
)
EDGE_PROXY_UNTRUSTED = Event(
    "edge.proxy-untrusted",
    "warning",
    ("peer",),
    "A request came with `X-Forwarded-For`, and `GATEWAY_TRUSTED_PROXIES` is empty. If `peer` is "
    "your proxy, add it there: until then all its clients count as one. Once in each worker.",
)
EDGE_CONNECTION_CUT = Event(
    "edge.connection-cut",
    "info",
    ("reason",),
    "A connection was closed because its head or body took too long, or because the client did not "
    "read its answers.",
)
EDGE_REQUEST_REFUSED = Event(
    "edge.request-refused",
    "info",
    ("request_id", "reason"),
    "The edge refused a malformed HTTP request.",
)
EDGE_ANSWER_FAILED = Event(
    "edge.answer-failed",
    "error",
    ("reason",),
    "The application ended without a complete answer; the client got a 500 or a closed connection.",
)
LOG_DROPPED = Event(
    "log.dropped",
    "warning",
    ("lines",),
    "Lines of the log are missing here, because they were not read in time or could not be "
    "written.",
)
REGISTRY_SERVED = Event(
    "registry.served", "info", ("revision", "routes"), "The worker serves a revision."
)
REGISTRY_PROBLEM = Event(
    "registry.problem",
    "error",
    ("part", "problem"),
    "The worker cannot follow the registry, and serves what it has.",
)
REGISTRY_WENT_BACK = Event(
    "registry.went-back",
    "error",
    ("lost_revision", "lost_uid", "revision", "uid"),
    "The revision that the worker served is not in the database's history: the database was "
    "restored, or failed over to a replica that lost commits. The worker follows the database. "
    "Raises a notification.",
)
REGISTRY_DEREGISTER_FAILED = Event(
    "registry.deregister-failed",
    "info",
    (),
    "A stopping worker could not delete its row in `gateway.workers`; it is swept within an hour.",
)
REGISTRY_SNAPSHOT_FAILED = Event(
    "registry.snapshot-failed",
    "warning",
    ("path", "reason"),
    "The snapshot of the registry cannot be written; without it a worker needs the database to "
    "start.",
)
IDENTITY_LAST_USE_DELAYED = Event(
    "identity.last-use-delayed",
    "warning",
    ("reason",),
    "The last uses of sessions cannot be written yet; they are kept and tried again.",
)
IDENTITY_COUNTS_DELAYED = Event(
    "identity.counts-delayed",
    "warning",
    ("reason",),
    "Rate limits cannot be shared through the database; each worker counts for itself meanwhile.",
)
OUTBOX_DELAYED = Event(
    "outbox.delayed",
    "debug",
    ("reason",),
    "The outbox cannot be read; it is tried again.",
)
OUTBOX_CLAIM_FAILED = Event(
    "outbox.claim-failed",
    "warning",
    ("message_id", "reason"),
    "A message that was just written cannot be claimed; it stays in the outbox.",
)
OUTBOX_ATTEMPT_FAILED = Event(
    "outbox.attempt-failed",
    "warning",
    ("request_id", "kind", "message_id", "attempt", "state", "error"),
    "A message was not sent; `state` says whether it is tried again or parked. Raises a "
    "notification.",
)
OUTBOX_SEND_CRASHED = Event(
    "outbox.send-crashed",
    "error",
    ("message_id", "error"),
    "Sending a message met an unexpected error; the message is parked.",
)
OUTBOX_TASK_CRASHED = Event(
    "outbox.task-crashed",
    "error",
    ("error",),
    "The handling of a message met an unexpected error; the message is taken up again.",
)
OUTBOX_RECORD_DELAYED = Event(
    "outbox.record-delayed",
    "debug",
    ("message_id", "error"),
    "The outcome of an attempt cannot be written because the database is away; it is tried again.",
)
OUTBOX_RECORD_REFUSED = Event(
    "outbox.record-refused",
    "warning",
    ("message_id", "error"),
    "The database refused the outcome of an attempt; it is tried again.",
)
NOTIFICATIONS_DELAYED = Event(
    "notifications.delayed",
    "debug",
    ("reason",),
    "Notifications cannot be written; they are kept and tried again.",
)
NOTIFICATIONS_PAGE_FAILED = Event(
    "notifications.page-failed",
    "warning",
    ("error",),
    "The webhook could not be reached to report the lost database; it is tried again. Once for "
    "each outage.",
)
SERVICE_ENDPOINT_EJECTED = Event(
    "service.endpoint-ejected",
    "error",
    ("service", "endpoint", "address", "reason"),
    "An endpoint of a service of `kind: http` failed five calls or three health checks in a row; "
    "it gets only probes, until one is answered. Raises a notification.",
)
SERVICE_ENDPOINT_RETURNED = Event(
    "service.endpoint-returned",
    "info",
    ("service", "endpoint", "address"),
    "An ejected endpoint answers again; or, if `address` is empty, the name of an endpoint is "
    "resolved again. Resolves the notification.",
)
SERVICE_ENDPOINT_REMOVED = Event(
    "service.endpoint-removed",
    "info",
    ("service", "endpoint", "address"),
    "An ejected endpoint, or one whose name is not resolved, has left the registry or the DNS. "
    "Resolves the notification.",
)
SERVICE_ENDPOINT_UNRESOLVED = Event(
    "service.endpoint-unresolved",
    "error",
    ("service", "endpoint", "reason"),
    "The name of an endpoint cannot be resolved, and its last addresses stay in use; or it "
    "resolves to an address that is refused, which gets no calls. Raises a notification.",
)
SERVICE_SECRET_UNUSABLE = Event(
    "service.secret-unusable",
    "error",
    ("service", "variable", "reason"),
    "The variable of a service's secret is not set or malformed. Its calls are refused, since "
    "nothing is sent unsigned. Raises a notification.",
)
MAINTENANCE_FAILED = Event(
    "maintenance.failed",
    "warning",
    ("reason",),
    "The maintenance loop could not finish a round; it is tried again.",
)
TRACING_UNAVAILABLE = Event(
    "tracing.unavailable",
    "warning",
    ("reason",),
    "OpenTelemetry's variables ask for traces, but none can be exported: the extra `otel` is not "
    "installed, or the SDK refuses a value. The gateway serves without. Once at the start.",
)
TRACING_VARIABLE_IGNORED = Event(
    "tracing.variable-ignored",
    "warning",
    ("variable", "reason"),
    "A variable of OpenTelemetry has a value that the gateway does not know; `reason` says what is "
    "used. Once at the start.",
)
TRACING_EXPORT_FAILED = Event(
    "tracing.export-failed",
    "warning",
    ("reason",),
    "Spans cannot be exported, and are lost; `reason` is an HTTP status or the type of an error. "
    "Once, until an export succeeds.",
)
TRACING_EXPORT_RESUMED = Event(
    "tracing.export-resumed",
    "info",
    ("lost",),
    "Spans are exported again; `lost` counts those of the failed exports.",
)
TRACING_SPAN_FAILED = Event(
    "tracing.span-failed",
    "error",
    ("error",),
    "A span met an unexpected error and is lost; its request was answered. Once for each `error`.",
)
WORKER_TASK_CRASHED = Event(
    "worker.task-crashed",
    "error",
    ("task",),
    "A background task of a worker met an unexpected error and was started again.",
)
WORKER_IMPORT_SLOW = Event(
    "worker.import-slow",
    "warning",
    ("module",),
    "The import of a service is not finished after 5 s; the worker does not serve until it is.",
)
WORKER_LOOP_BLOCKED = Event(
    "worker.loop-blocked",
    "warning",
    ("route", "action", "place", "ms"),
    "Code ran for more than 200 ms without `await`, and every request of the worker waited. "
    "`place` is the file and line that ran; `route` and `action` are empty if it was no action.",
)
WORKER_OUT_OF_DESCRIPTORS = Event(
    "worker.out-of-descriptors",
    "error",
    ("reason",),
    "No file descriptor is left, and new connections are dropped: raise the limit of open files. "
    "At most one line a minute.",
)
WORKER_START_FAILED = Event(
    "worker.start-failed",
    "error",
    ("pid", "error"),
    "No worker can start, because a service cannot be imported for example; it is tried again at "
    "longer and longer intervals, up to 30 s, and connections are refused until it succeeds. "
    "Logged once for each `error`.",
)
WORKER_HUNG = Event(
    "worker.hung",
    "error",
    ("pid", "seconds"),
    "A worker's event loop has not turned for `GATEWAY_HANG_TIMEOUT` seconds; the supervisor kills "
    "the worker and starts another. `worker.loop-blocked` of the worker may say what ran.",
)
WORKER_ENDED = Event(
    "worker.ended",
    "error",
    ("pid", "exit_code"),
    "A worker process ended unexpectedly; the supervisor starts another.",
)

CATALOGUE: tuple[Event, ...] = tuple(
    event for name, event in sorted(globals().items()) if isinstance(event, Event)
)
"""All events, in the order of their names."""
