"""The ASGI application: it answers API requests, and passes the gateway's own pages on.

The gate is the outermost callable, without any middleware in front, so that an API request costs
one look-up and not a stack of calls.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Protocol

from starlette.applications import Starlette
from starlette.routing import Match

from gateway.edge import addresses, heads
from gateway.edge.addresses import Proxies
from gateway.edge.admission import overloaded
from gateway.edge.cors import Cors, preflight_headers
from gateway.edge.exchange import AsgiExchange, Exchange, Receive, Scope, Send
from gateway.pipeline import Pipeline
from gateway.registry import paths
from gateway.registry.table import Table
from gateway.runtime import random_ids, trace_context
from gateway.runtime.trace_context import TRACEPARENT
from gateway.runtime.tracing.sampler import Sampler
from gateway.settings import Settings
from gateway.stages import respond
from gateway.stages.respond import Trace
from gateway.values import Request, Response

NO_CONTENT = 204

_USUAL_LINES = (
    b"x-request-id: %b\r\ncontent-length: %d\r\ncontent-type: application/json\r\n"
    b"cache-control: no-store\r\nx-registry-revision: %d\r\n"
)
"""The header lines of an answer that has no headers of its own: those of `_headers`, at once."""

_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_RESERVED = tuple(path.encode() for path in paths.RESERVED)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestObserver(Protocol):
    """Observes each request that ended."""

    def record(
        self, request: Request, trace: Trace, response: Response | None, seconds: float
    ) -> None:
        """Count and log a request; the response is None if the client left before there was one."""


class Gate:
    """Answers every request except those of the gateway's own paths, which go to `pages`."""

    def __init__(
        self,
        pipeline: Pipeline,
        pages: Starlette,
        observer: RequestObserver,
        settings: Settings,
        sampler: Sampler | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._pages = pages
        self._observer = observer
        self._proxies = Proxies(settings.trusted_proxies)
        self._cors = Cors(settings.cors_origins)
        self._admission = pipeline.admission
        self._sampler = sampler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI application, for servers other than the gateway's own edge."""
        if scope["type"] == "http":
            await self.serve(AsgiExchange(scope, receive, send))
        else:
            await self._pages(scope, receive, send)

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        if exchange.path.startswith(_RESERVED) and self._is_page(exchange.scope):
            await self._pages(exchange.scope, exchange.receive, exchange.send)
            return
        # The clock of the event loop, without asking for the loop.
        started = time.monotonic()
        request = self._request(exchange, started)
        admission, trace = self._admission, Trace(has_help=self._pipeline.has_help)
        admission.in_flight += 1
        response = None
        try:
            if request.method == "OPTIONS" or admission.is_full:
                response = self._answer_here(request, trace)
            if response is None:
                is_logged = request.trace is not None and request.trace.is_logged
                answer = self._answer_traced if is_logged else self._pipeline.answer
                response = await answer(request, exchange, trace)
                if trace.valid is None:
                    admission.note_refusal(request, trace.caller)
            if response is not None:
                body = b"" if request.method == "HEAD" else response.body
                await exchange.answer(response.http, self._lines(request, trace, response), body)
        finally:
            admission.in_flight -= 1
            self._observer.record(request, trace, response, time.monotonic() - started)
        if trace.is_cancelled:
            # It was answered, but its cancellation must not be lost.
            raise asyncio.CancelledError

    def _request(self, exchange: Exchange, received_at: float) -> Request:
        headers = exchange.headers
        header = headers.get(b"x-request-id")
        is_valid = header is not None and _REQUEST_ID.fullmatch(header)
        request_id = header.decode() if header and is_valid else random_ids.make()
        address = exchange.peer
        if addresses.FORWARDED in headers:
            address = self._proxies.client_address(address, headers[addresses.FORWARDED])
        context = None
        if self._sampler:
            context = self._sampler.place(headers)
        elif TRACEPARENT in headers:
            context = trace_context.read(headers)
        method, path, query = exchange.method, exchange.path, exchange.query
        return Request(request_id, method, path, query, headers, address, received_at, context)

    async def _answer_traced(
        self, request: Request, exchange: Exchange, trace: Trace
    ) -> Response | None:
        """The pipeline's answer, with the request's trace as that of the running code."""
        token = trace_context.current.set(request.trace)
        try:
            return await self._pipeline.answer(request, exchange, trace)
        finally:
            # Before the answer is sent: the next request of the connection starts in that moment,
            # in a copy of this context.
            trace_context.current.reset(token)

    def _is_page(self, scope: Scope) -> bool:
        """Whether the gateway has this page; the pipeline refuses any other reserved path."""
        # By the raw path: `%2F` is not a separator here either.
        reserved = paths.is_reserved(scope["raw_path"].decode("latin-1"))
        return reserved and any(
            route.matches(scope)[0] is Match.FULL for route in self._pages.routes
        )

    def _answer_here(self, request: Request, trace: Trace) -> Response | None:
        """The gate's own answer, to an overload or a preflight; None for any other request."""
        if self._admission.is_full:
            return respond.refusal(overloaded("requests are in flight"), request, trace)
        if request.method == "OPTIONS":
            table = self._pipeline.registry.current
            methods = table.methods(request.path) if table else []
            if methods:
                # The only answer that is not in the catalogue of statuses.
                return Response(NO_CONTENT, "preflight", preflight_headers(methods), b"")
        return None

    def _lines(self, request: Request, trace: Trace, response: Response) -> bytes:
        """The header lines of an answer."""
        table = trace.table or self._pipeline.registry.current
        if response.headers or self._cors or table is None:
            return heads.header_lines(self._headers(request, table, response))
        return _USUAL_LINES % (request.id.encode(), len(response.body), table.revision)

    def _headers(
        self, request: Request, table: Table | None, response: Response
    ) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-request-id", request.id.encode()), *response.headers]
        if response.http != NO_CONTENT:
            headers += (b"content-length", b"%d" % len(response.body)), _JSON
        if not (response.headers and _has(response.headers, b"cache-control")):
            headers.append(_NO_STORE)
        if table:
            headers.append((b"x-registry-revision", b"%d" % table.revision))
        return headers + self._cors.headers(request.headers) if self._cors else headers


def _has(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bool:
    return any(header_name == name for header_name, _ in headers)
