"""The event `request`: counts each request that ended, and writes its access line.

For speed it does not pass through `events.emit`, but goes straight to its two readers.
"""

from datetime import UTC, datetime

from gateway import statuses
from gateway.monitoring.recent import RecentFaults
from gateway.runtime.events import REQUEST
from gateway.runtime.log import AccessLog
from gateway.runtime.metrics import Metrics
from gateway.runtime.windows import FAULTS
from gateway.serve.request_span import record_request
from gateway.stages.respond import Trace
from gateway.statuses import Fault
from gateway.values import Request, Response

MAX_LOGGED_PATH = 200

_LEVELS: dict[Fault, str] = {
    "none": "info",
    "caller": "info",
    "dependency": "error",
    "gateway": "error",
}


class RequestLog:
    """Observes the requests of a gate."""

    def __init__(self, access: AccessLog, metrics: Metrics, recent: RecentFaults) -> None:
        self._access = access
        self._metrics = metrics
        self._recent = recent

    def record(
        self, request: Request, trace: Trace, response: Response | None, seconds: float
    ) -> None:
        """Count a request, and write its access line: never its query, body or token."""
        route = trace.match.route if trace.match else None
        slug = response.slug if response else "client-left"
        status = (route.statuses if route else statuses.COMMON).get(slug)
        fault = status.fault if status else "none"
        code = response.http if response else None
        name = route.name if route else ""
        self._metrics.count(name, request.method, code, slug, fault, seconds)
        if code and fault in FAULTS:
            self._recent.add(name, request.id, slug, code)
        line = {
            "time": datetime.now(UTC),
            "level": _LEVELS[fault],
            "event": REQUEST.name,
            "request_id": request.id,
            "method": request.method,
            "path": request.path[:MAX_LOGGED_PATH].decode("latin-1"),
            "route": name or None,
            "caller": _caller(trace),
            "address": request.address,
            "status": slug,
            "code": code,
            "revision": trace.table and trace.table.revision,
            "ms": round(seconds * 1000, 3),
        }
        if request.trace and request.trace.is_logged:
            line["trace_id"] = request.trace.trace_id
            if request.trace.recorded:
                record_request(request, request.trace, trace, response, seconds)
        self._access.write(line)


def _caller(trace: Trace) -> str | None:
    """The caller by its id or slug, never by name, e-mail address or token."""
    caller = trace.caller
    if caller is None:
        return None
    if caller.session:
        return f"user:{caller.session.user_id}"
    return f"application:{caller.application.slug}" if caller.application else "anonymous"
