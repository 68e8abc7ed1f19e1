"""A receiver of spans: an HTTP server that decodes what the exporter of OpenTelemetry sends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from support.command import wait_until
from support.mandrill import served_in_thread

PATH = "/v1/traces"


class Receiver:
    """Keeps the spans, and the raw bodies; answers `status`, after `delay` seconds."""

    def __init__(self) -> None:
        self.status = 200
        self.delay = 0.0
        self.bodies: list[bytes] = []
        self.resource: dict[str, Any] = {}
        self.spans: list[Span] = []
        self.app = Starlette(routes=[Route(PATH, self._receive, methods=["POST"])])

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        self.bodies.append(body)
        await asyncio.sleep(self.delay)
        if self.status == 200:
            export = ExportTraceServiceRequest.FromString(body)
            for resource in export.resource_spans:
                self.resource = attributes(resource.resource)
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return Response(status_code=self.status)

    def named(self, name: str) -> list[Span]:
        """The spans with this name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Span:
        """The one span with this name, once it has arrived."""
        wait_until(lambda: self.named(name))
        [span] = self.named(name)
        return span


def attributes(span: Any) -> dict[str, Any]:
    """The attributes of a span or a resource, by name."""
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes
    }


@contextmanager
def receiving() -> Iterator[tuple[Receiver, str]]:
    """A receiver and its address, for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
    receiver = Receiver()
    with served_in_thread(receiver.app) as address:
        yield receiver, address
