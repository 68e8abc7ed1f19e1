"""What the peers in Python share: sessions in memory, one JSON line a request, one histogram.

structlog is set up as its page on performance says, with orjson; the histogram is that of
prometheus_client.
"""

import logging
import os
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import structlog
from prometheus_client import Histogram

PATH = "/api/v1/bench/echo"
ROLES = {"employee", "liaison"}
SESSIONS: dict[str, dict[str, Any]] = {
    token: {"user_id": 1, "application": "planoorder", "roles": ["employee"]}
    for token in os.environ["TOKENS"].split()
}
SECONDS = Histogram("request_seconds", "Time of a request", ["route", "method", "status"])

# Open as long as the process runs.
_file = Path(os.environ["ACCESS_LOG"]).open("ab")  # noqa: SIM115
structlog.configure(
    cache_logger_on_first_use=True,
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(serializer=orjson.dumps),
    ],
    logger_factory=structlog.BytesLoggerFactory(_file),
)
_log = structlog.get_logger()


def may_call(session: dict[str, Any]) -> bool:
    """Whether the application and a role of a session permit the call."""
    return session["application"] == "planoorder" and not ROLES.isdisjoint(session["roles"])


def record(request: dict[str, Any], status: int, started: float) -> None:
    """Count a request by its method and route, and log it with its path, caller and address."""
    seconds = perf_counter() - started
    SECONDS.labels(request["route"], request["method"], status).observe(seconds)
    _log.info("request", **request, code=status, ms=round(seconds * 1000, 3))


def caller(session: dict[str, Any] | None) -> str | None:
    """The caller as the log names it."""
    return f"user:{session['user_id']}" if session else None
