"""Logging to standard error: one JSON line for each event, one access line for each request."""

import asyncio
import contextlib
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from gateway.runtime import log_thread
from gateway.runtime.events import LOG_DROPPED
from gateway.runtime.trace_context import current

FLUSH_INTERVAL = 0.25
MAX_WAITING = 1000


class _JsonLines(logging.Formatter):
    """Formats a record as one line of JSON: an event and its fields, or another library's text."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
        }
        fields = getattr(record, "fields", None)
        if fields is None:
            message = record.getMessage()
            line |= {"event": "log", "logger": record.name, "message": message}
        else:
            line |= {"event": vars(record)["event"], **fields}
            if trace := current.get():
                line["trace_id"] = trace.trace_id
        if record.exc_info and record.exc_info[0]:
            line["trace"] = _frames(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def _frames(exc_info: Any) -> list[str]:  # noqa: ANN401 - what logging holds
    """The frames and types of an error, without source lines and messages, which may quote values.

    The last entry names the error's type and those of its causes.
    """
    kind, error, trace = exc_info
    frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace)]
    causes = [kind.__name__]
    while error := (error.__cause__ or error.__context__):
        causes.append(type(error).__name__)
    return [*frames, " from ".join(causes)]


def configure(level: str) -> None:
    """Send all logging of the process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    # Otherwise logging prints its own error, with all values, when a line cannot be written.
    logging.raiseExceptions = False
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("asyncio", "uvicorn.error", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def write_in_thread() -> None:
    """Have standard error written by a thread, for the rest of the process: it never blocks."""
    log_thread.install(_dropped_line)


def _dropped_line(count: int) -> bytes:
    line = {
        "time": datetime.now(UTC),
        "level": LOG_DROPPED.level,
        "event": LOG_DROPPED.name,
        "lines": count,
    }
    return orjson.dumps(line) + b"\n"


class AccessLog:
    """Collects access lines and writes them a few times a second, by default to standard error."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out
        self._waiting: list[bytes] = []

    def write(self, line: dict[str, Any]) -> None:
        """Add one line; it is written at the next flush."""
        # Encoded now and not at the flush: its values are still in the processor's caches.
        self._waiting.append(orjson.dumps(line, default=str))
        if len(self._waiting) >= MAX_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write the collected lines now."""
        if self._waiting:
            lines, self._waiting = self._waiting, []
            # Under another ASGI server no thread writes, and the reader of the log may be gone:
            # this cannot be logged, and requests continue.
            with contextlib.suppress(OSError):
                out = self._out or sys.stderr
                out.write(b"\n".join([*lines, b""]).decode())
                out.flush()

    async def run(self) -> None:
        """Flush until cancelled, then once more."""
        try:
            while True:
                await asyncio.sleep(FLUSH_INTERVAL)
                self.flush()
        finally:
            self.flush()
