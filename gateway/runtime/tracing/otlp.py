"""The export of spans with OpenTelemetry's SDK, over OTLP and HTTP.

Nothing else imports the SDK, and this module is imported only if traces are asked for. The SDK
reads its standard variables itself. A thread of its own sends the spans in batches.
"""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Sequence
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from gateway.runtime import events
from gateway.runtime.tracing.spans import FinishedSpan
from gateway.values import TraceContext

FLUSH_TIMEOUT = 3.0
"""Seconds that a stopping worker waits until its last spans are sent."""

NO_ANSWER = "no answer"
PACKAGE = "plano-gateway"

_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_ERROR = Status(StatusCode.ERROR)


class Exporter:
    """Exports spans in the background. Raises whatever the SDK raises for its variables."""

    def __init__(self) -> None:
        self._ids = _GivenIds()
        self._watched = _WatchedExporter(OTLPSpanExporter())
        self._provider = TracerProvider(
            # The gateway has decided before, and the SDK gets recorded spans alone.
            sampler=ALWAYS_ON,
            resource=_resource(),
            # The SDK would wait half a minute at the end of the process.
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._watched))
        self._tracer = self._provider.get_tracer("gateway", version(PACKAGE))
        _silence()

    def record(self, span: FinishedSpan) -> None:
        """Put a finished span into the queue; a full queue drops the oldest."""
        self._ids.context = span.context
        started = self._tracer.start_span(
            span.name,
            context=_parent(span),
            kind=_KINDS[span.kind],
            attributes=span.attributes,
            start_time=span.started_at,
        )
        if span.is_error:
            started.set_status(_ERROR)
        started.end(span.ended_at)

    async def close(self) -> None:
        """Send what waits, for at most `FLUSH_TIMEOUT` seconds; the rest is lost."""
        loop, flushed = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            # The loop may be closed by then.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(flushed.set)

        # Neither the loop nor the interpreter waits for a daemon thread.
        threading.Thread(target=shut_down, name="flush spans", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT):
                await flushed.wait()
        except TimeoutError:
            self._watched.note_failure("no answer before the stop", 0)


class _GivenIds(IdGenerator):
    """The ids of the span that is recorded next: they were passed on long before."""

    context: TraceContext

    def generate_span_id(self) -> int:
        return int(self.context.span_id, 16)

    def generate_trace_id(self) -> int:
        return int(self.context.trace_id, 16)


class _WatchedExporter(SpanExporter):
    """Emits one event when exports begin to fail, and one when they work again."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._is_failing = False
        self._reasons = _Reasons()
        logging.getLogger(OTLPSpanExporter.__module__).addHandler(self._reasons)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - the SDK would log it each time
            self._reasons.last = type(error).__name__
            result = SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self.note_failure(self._reasons.last, len(spans))
            self._reasons.last = NO_ANSWER
        elif self._is_failing:
            events.emit(events.TRACING_EXPORT_RESUMED, lost=self._lost)
            self._is_failing, self._lost = False, 0
        return result

    def note_failure(self, reason: str, spans: int) -> None:
        """Count lost spans; emit the event unless it was emitted since the last success."""
        self._lost += spans
        if not self._is_failing:
            self._is_failing = True
            events.emit(events.TRACING_EXPORT_FAILED, reason=reason)

    def shutdown(self) -> None:
        logging.getLogger(OTLPSpanExporter.__module__).removeHandler(self._reasons)
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # it has no types

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _Reasons(logging.Handler):
    """Keeps why the last export failed: the HTTP status or the error's type.

    The SDK only logs it, in a text that quotes addresses, which may contain a secret.
    """

    last = NO_ANSWER

    def emit(self, record: logging.LogRecord) -> None:
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, int):
                self.last = f"HTTP {argument}"
            elif isinstance(argument, Exception):
                self.last = type(argument).__name__


def _silence() -> None:
    """Keep the SDK's own lines, one for each export that fails, out of the log."""
    logger = logging.getLogger("opentelemetry")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())


def _resource() -> Resource:
    """The resource of the standard variables, with a service name if they have none."""
    attributes = {SERVICE_VERSION: version(PACKAGE)}
    named = os.environ.get("OTEL_SERVICE_NAME")
    if not named and f"{SERVICE_NAME}=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        attributes[SERVICE_NAME] = PACKAGE
    return Resource.create(dict(attributes))


def _parent(span: FinishedSpan) -> Context:
    """The context of the span above, remote for the span of a request."""
    context = span.context
    if context.parent_id is None:
        return Context()
    parent = SpanContext(
        int(context.trace_id, 16),
        int(context.parent_id, 16),
        is_remote=span.kind == "server",
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=TraceState.from_header([context.state]),
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())
