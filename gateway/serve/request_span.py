"""The span of a request, by the stable HTTP conventions of OpenTelemetry."""

import time

from gateway.registry.records import METHODS
from gateway.runtime.tracing.spans import Attributes, FinishedSpan, record
from gateway.stages.respond import Trace
from gateway.values import Request, Response, TraceContext

MAX_PATH = 200

_METHODS = frozenset((*METHODS, "HEAD", "OPTIONS", "CONNECT", "TRACE"))
_FIRST_SERVER_ERROR = 500


def record_request(
    request: Request,
    context: TraceContext,
    trace: Trace,
    response: Response | None,
    seconds: float,
) -> None:
    """Record the span of a request that ended just now: never its query, headers or body."""
    method = request.method if request.method in _METHODS else "HTTP"
    route = trace.match.route if trace.match else None
    attributes: Attributes = {
        "http.request.method": request.method if request.method in _METHODS else "_OTHER",
        "url.scheme": "http",
        "url.path": request.path[:MAX_PATH].decode("latin-1"),
        "client.address": request.address,
        "gateway.request_id": request.id,
        "gateway.status": response.slug if response else "client-left",
    }
    if route:
        attributes["http.route"] = route.path
        attributes["gateway.route"] = route.name
    if response:
        attributes["http.response.status_code"] = response.http
    is_error = response is not None and response.http >= _FIRST_SERVER_ERROR
    if response and is_error:
        attributes["error.type"] = response.slug
    ended_at = time.time_ns()
    record(
        FinishedSpan(
            name=f"{method} {route.path}" if route else method,
            kind="server",
            context=context,
            started_at=ended_at - round(seconds * 1e9),
            ended_at=ended_at,
            attributes=attributes,
            is_error=is_error,
        )
    )
