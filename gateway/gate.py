"""The ASGI application: the gate in front, which answers the API, and the site behind it.

The gate is the outermost callable and no middleware stands before it, so that an API request
costs one look-up and not a stack.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.routing import Match

from gateway import statuses
from gateway.edge import addresses, request_ids
from gateway.edge.addresses import Proxies
from gateway.edge.exchange import AsgiExchange, Exchange, Receive, Scope, Send
from gateway.pipeline import Pipeline, Progress
from gateway.registry import paths
from gateway.runtime.metrics import Metrics
from gateway.settings import Settings
from gateway.stages import respond
from gateway.statuses import Fault
from gateway.values import ClientLeftError, Rejection, Request, Response

ALLOWED_HEADERS = (
    b"Authorization, Content-Type, Idempotency-Key, X-Request-Id, X-Min-Registry-Revision"
)
EXPOSED_HEADERS = (
    b"X-Request-Id, X-Registry-Revision, X-Ignored-Params, Retry-After, Idempotent-Replayed"
)
PREFLIGHT_SECONDS = b"600"
MAX_LOGGED_PATH = 200
UNAVAILABLE = statuses.SERVICE_UNAVAILABLE

NO_CONTENT = 204

_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_RESERVED = tuple(path.encode() for path in paths.RESERVED)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LEVELS: dict[Fault, str] = {
    "none": "info",
    "caller": "info",
    "dependency": "error",
    "gateway": "error",
}


class Writes(Protocol):
    """Where access lines go."""

    def write(self, line: dict[str, Any]) -> None:
        """Take one line."""


class Gate:
    """Answers every request but those of the gateway's own paths, which go to `site`."""

    def __init__(
        self,
        pipeline: Pipeline,
        site: Starlette,
        access: Writes,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self._pipeline = pipeline
        self._site = site
        self._access = access
        self._metrics = metrics
        self._proxies = Proxies(settings.trusted_proxies)
        self._origins = frozenset(origin.encode() for origin in settings.cors_origins)
        self._max_in_flight = settings.max_in_flight
        self._in_flight = 0
        self._revision = (0, (b"x-registry-revision", b"0"))

    @property
    def in_flight(self) -> int:
        """Requests that are being handled."""
        return self._in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for servers other than our own edge."""
        if scope["type"] == "http":
            await self.serve(AsgiExchange(scope, receive, send))
        else:
            await self._site(scope, receive, send)

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        if exchange.path.startswith(_RESERVED) and self._is_own(exchange.scope):
            await self._site(exchange.scope, exchange.receive, exchange.send)
            return
        started = time.perf_counter()
        request = self._request(exchange)
        so_far = Progress()
        self._in_flight += 1
        try:
            response = await self._answer(request, exchange, so_far)
        except ClientLeftError:
            self._log(request, so_far, None, started)
        except asyncio.CancelledError:
            # The server stops, and this request had its time: say so rather than nothing.
            stopping = "The gateway is stopping; what became of this is unknown."
            response = _refusal(request, UNAVAILABLE, stopping)
            await self._finish(request, so_far, response, exchange, started)
            raise
        else:
            await self._finish(request, so_far, response, exchange, started)
        finally:
            self._in_flight -= 1

    def _request(self, exchange: Exchange) -> Request:
        headers = exchange.headers
        given = headers.get(b"x-request-id")
        request_id = (
            given.decode() if given and _REQUEST_ID.fullmatch(given) else request_ids.make()
        )
        address = exchange.peer
        if addresses.FORWARDED in headers:
            address = self._proxies.caller(address, headers[addresses.FORWARDED])
        return Request(request_id, exchange.method, exchange.path, exchange.query, headers, address)

    def _is_own(self, scope: Scope) -> bool:
        """Whether the site has this page; what it has not, the pipeline refuses."""
        # By the raw path: `%2F` is no separator here either.
        reserved = paths.is_reserved(scope["raw_path"].decode("latin-1"))
        return reserved and any(
            route.matches(scope)[0] is Match.FULL for route in self._site.routes
        )

    async def _finish(
        self,
        request: Request,
        so_far: Progress,
        response: Response,
        exchange: Exchange,
        started: float,
    ) -> None:
        headers = self._headers(request, so_far, response)
        body = b"" if request.method == "HEAD" else response.body
        try:
            await exchange.answer(response.http, headers, body)
        finally:
            self._log(request, so_far, response, started)

    async def _answer(self, request: Request, exchange: Exchange, so_far: Progress) -> Response:
        if self._in_flight > self._max_in_flight:
            return _refusal(request, UNAVAILABLE, "The gateway has too much to do.")
        if request.method == "OPTIONS" and (allow := self._allowed(request)):
            return _preflight(allow)

        try:
            return await self._pipeline.answer(request, exchange, so_far)
        except (Exception, SystemExit) as error:
            if isinstance(error, ClientLeftError):
                raise
            # The answer itself could not be made, such as of errors that are no JSON.
            recorder = self._pipeline.recorder
            recorder.crashed(error, request.id, so_far.match, so_far.caller)
            return _refusal(request, statuses.APPLICATION_CRASH)

    def _allowed(self, request: Request) -> list[str]:
        """The methods that this path has, or none."""
        table = self._pipeline.registry.current
        methods = table.methods(request.path) if table else []
        return [*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"] if methods else []

    def _headers(
        self, request: Request, so_far: Progress, response: Response
    ) -> list[tuple[bytes, bytes]]:
        table = so_far.table or self._pipeline.registry.current
        headers = [(b"x-request-id", request.id.encode()), *response.headers]
        if response.http != NO_CONTENT:
            headers += (b"content-length", b"%d" % len(response.body)), _JSON
        if not (response.headers and _has(response.headers, b"cache-control")):
            headers.append(_NO_STORE)
        if table:
            headers.append(self._revision_of(table.revision))
        return headers + self._cors(request) if self._origins else headers

    def _revision_of(self, number: int) -> tuple[bytes, bytes]:
        """The header that names a revision, made once for as long as that one is served."""
        if self._revision[0] != number:
            self._revision = number, (b"x-registry-revision", b"%d" % number)
        return self._revision[1]

    def _cors(self, request: Request) -> list[tuple[bytes, bytes]]:
        origin = request.headers.get(b"origin")
        vary = [(b"vary", b"Origin")]
        if origin is None or not (origin in self._origins or b"*" in self._origins):
            return vary
        return [
            *vary,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED_HEADERS),
        ]

    def _log(
        self, request: Request, so_far: Progress, response: Response | None, started: float
    ) -> None:
        """Count a request, and write its one access line: never its query, body or token."""
        seconds = time.perf_counter() - started
        route = so_far.match.route if so_far.match else None
        status = response.slug if response else "client-left"
        known = (route.statuses if route else statuses.COMMON).get(status)
        fault = known.fault if known else "none"
        code = response.http if response else None
        name = route.name if route else ""
        self._metrics.count(name, request.method, code, status, fault, seconds)
        self._access.write(
            {
                "time": datetime.now(UTC),
                "level": _LEVELS[fault],
                "event": "request",
                "request_id": request.id,
                "method": request.method,
                "path": request.path[:MAX_LOGGED_PATH].decode("latin-1"),
                "route": name or None,
                "caller": _caller(so_far),
                "address": request.address,
                "status": status,
                "code": code,
                "revision": so_far.table and so_far.table.revision,
                "ms": round(seconds * 1000, 3),
            }
        )


def _has(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> bool:
    return any(name == wanted for name, _ in headers)


def _refusal(request: Request, slug: str, message: str | None = None) -> Response:
    return respond.refusal(Rejection(slug, message), statuses.COMMON[slug], request.id)


def _preflight(allow: list[str]) -> Response:
    """The one answer outside the catalogue."""
    methods = ", ".join(allow).encode()
    headers = [
        (b"allow", methods),
        (b"access-control-allow-methods", methods),
        (b"access-control-allow-headers", ALLOWED_HEADERS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
    ]
    return Response(204, "preflight", headers, b"")


def _caller(so_far: Progress) -> str | None:
    """Who called, by ids: no name, no address, no token."""
    caller = so_far.caller
    if caller is None:
        return None
    if caller.session:
        return f"user:{caller.session.user_id}"
    return f"application:{caller.application.slug}" if caller.application else "anonymous"
