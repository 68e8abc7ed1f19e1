"""Spans: what a recorded request did, and when.

As an event is, a span is recorded once, and its readers are subscribed; the exporter is one. The
block of a `Span` that belongs to no recorded request runs as if it were not there.
"""

import time
from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Literal, NamedTuple, Self, TypeAlias

from gateway.runtime import events, random_ids, trace_context
from gateway.values import TraceContext

Kind: TypeAlias = Literal["server", "client", "internal"]
Attributes: TypeAlias = dict[str, str | int]

FIRST_ERROR = 400
"""The lowest HTTP status that is an error for the one who called."""


class FinishedSpan(NamedTuple):
    """A span to be exported; the times are nanoseconds since 1970. Values are never secrets."""

    name: str
    kind: Kind
    context: TraceContext
    started_at: int
    ended_at: int
    attributes: Attributes
    is_error: bool


Reader: TypeAlias = Callable[[FinishedSpan], None]

_readers: list[Reader] = []
_failed: set[str] = set()


def subscribe(reader: Reader) -> Callable[[], None]:
    """Pass every span to a reader from now on; return a function that ends the subscription."""
    _readers.append(reader)
    return lambda: _readers.remove(reader)


def record(span: FinishedSpan) -> None:
    """Pass a span to the readers. It raises nothing: each type of error is logged once."""
    for reader in _readers:
        try:
            reader(span)
        except Exception as error:  # noqa: BLE001 - a span must never fail a request
            name = type(error).__name__
            if name not in _failed:
                _failed.add(name)
                events.emit(events.TRACING_SPAN_FAILED, trace=error, error=name)


class Span:
    """The span of a block: `with Span("send mail", "client") as span: …`.

    Within the block it is the parent of further spans and of what is called. An error that leaves
    the block marks it, by `error_type`: the error's text may quote values.
    """

    __slots__ = (
        *("attributes", "error_type", "kind", "name"),
        *("_context", "_monotonic", "_started_at", "_token"),
    )

    def __init__(self, name: str, kind: Kind, attributes: Attributes | None = None) -> None:
        self.name = name
        self.kind: Kind = kind
        self.attributes: Attributes = attributes or {}
        self.error_type: str | None = None
        self._context: TraceContext | None = None

    def __enter__(self) -> Self:
        parent = trace_context.current.get()
        if parent is None or not parent.recorded:
            return self
        span_id = random_ids.make()[:16]
        self._context = parent._replace(span_id=span_id, parent_id=parent.span_id)
        self._token: Token[TraceContext | None] = trace_context.current.set(self._context)
        self._started_at, self._monotonic = time.time_ns(), time.monotonic_ns()
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._context is None:
            return
        trace_context.current.reset(self._token)
        if error is not None:
            self.error_type = self.error_type or type(error).__name__
        if self.error_type:
            self.attributes["error.type"] = self.error_type
        # The clock of the wall may be set back meanwhile.
        ended_at = self._started_at + time.monotonic_ns() - self._monotonic
        record(
            FinishedSpan(
                name=self.name,
                kind=self.kind,
                context=self._context,
                started_at=self._started_at,
                ended_at=ended_at,
                attributes=self.attributes,
                is_error=self.error_type is not None,
            )
        )


def http_request(method: str, host: str, port: int, template: str) -> Span:
    """The span of an HTTP request to another service; `template` is its path without values.

    In its block `trace_context.outgoing` has the headers to send. The URL itself is not recorded,
    since it may contain a secret.
    """
    attributes: Attributes = {
        "http.request.method": method,
        "server.address": host,
        "server.port": port,
        "url.template": template,
    }
    return Span(f"{method} {template}", "client", attributes)


def note_answer(span: Span, status: int) -> None:
    """Add the HTTP status of the answer to the span of a request to another service."""
    span.attributes["http.response.status_code"] = status
    if status >= FIRST_ERROR:
        span.error_type = str(status)
