"""The ASGI application: the gate in front, which answers the API, and the site behind it.

The gate is the outermost callable and no middleware stands before it, so that an API request
costs one look-up and not a stack.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.routing import Match

from gateway import addresses, paths, respond, statuses
from gateway.addresses import Proxies
from gateway.metrics import Metrics
from gateway.pipeline import Pipeline, Progress
from gateway.settings import Settings
from gateway.statuses import Fault
from gateway.values import ClientLeftError, Reject, Request, Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ALLOWED_HEADERS = (
    b"Authorization, Content-Type, Idempotency-Key, X-Request-Id, X-Min-Registry-Revision"
)
EXPOSED_HEADERS = (
    b"X-Request-Id, X-Registry-Revision, X-Ignored-Params, Retry-After, Idempotent-Replayed"
)
PREFLIGHT_SECONDS = b"600"
LONGEST_LOGGED_PATH = 200
UNAVAILABLE = "service-unavailable"

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

    @property
    def in_flight(self) -> int:
        """Requests that are being handled."""
        return self._in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or (_is_reserved(scope) and self._is_own(scope)):
            await self._site(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._in_flight -= 1

    def _request(self, scope: Scope) -> Request:
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        peer = scope["client"][0] if scope.get("client") else addresses.UNKNOWN
        address = self._proxies.caller(peer, headers.get(addresses.FORWARDED, b""))
        raw = scope["raw_path"], scope["query_string"]
        return Request(request_id, scope["method"], *raw, headers, address)

    def _is_own(self, scope: Scope) -> bool:
        """Whether the site has this page; what it has not, the pipeline refuses."""
        return any(route.matches(scope)[0] is Match.FULL for route in self._site.routes)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request = self._request(scope)
        so_far = Progress()
        try:
            response = await self._answer(request, receive, so_far)
        except ClientLeftError:
            self._log(request, so_far, None, started)
            return
        except asyncio.CancelledError:
            # The server stops, and this request had its time: say so rather than nothing.
            stopping = "The gateway is stopping; what became of this is unknown."
            response = _refusal(request, UNAVAILABLE, stopping)
            await self._finish(request, so_far, response, send, started)
            raise
        await self._finish(request, so_far, response, send, started)

    async def _finish(
        self, request: Request, so_far: Progress, response: Response, send: Send, started: float
    ) -> None:
        headers = self._headers(request, so_far, response)
        start = {"type": "http.response.start", "status": response.http, "headers": headers}
        body = b"" if request.method == "HEAD" else response.body
        try:
            await send(start)
            await send({"type": "http.response.body", "body": body})
        finally:
            self._log(request, so_far, response, started)

    async def _answer(self, request: Request, receive: Receive, so_far: Progress) -> Response:
        if self._in_flight > self._max_in_flight:
            return _refusal(request, UNAVAILABLE, "The gateway has too much to do.")
        if request.method == "OPTIONS" and (allow := self._allowed(request)):
            return _preflight(allow)

        async def read_body(limit: int) -> bytes:
            return await _read_body(request, receive, limit)

        try:
            return await self._pipeline.answer(request, read_body, so_far)
        except (Exception, SystemExit) as error:
            if isinstance(error, ClientLeftError):
                raise
            # The answer itself could not be made, such as of errors that are no JSON.
            notices = self._pipeline.notices
            notices.crashed(error, request.id, so_far.match, so_far.caller)
            return _refusal(request, "application-crash")

    def _allowed(self, request: Request) -> list[str]:
        """The methods that this path has, or none."""
        table = self._pipeline.registry.current
        methods = table.methods(request.path) if table else []
        return [*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"] if methods else []

    def _headers(
        self, request: Request, so_far: Progress, response: Response
    ) -> list[tuple[bytes, bytes]]:
        table = so_far.table or self._pipeline.registry.current
        given = {name for name, _ in response.headers}
        headers = [(b"x-request-id", request.id.encode()), *response.headers]
        if response.http != 204:  # noqa: PLR2004 - No Content
            headers.append((b"content-length", str(len(response.body)).encode()))
            headers.append((b"content-type", b"application/json"))
        if b"cache-control" not in given:
            headers.append((b"cache-control", b"no-store"))
        if table:
            headers.append((b"x-registry-revision", str(table.revision).encode()))
        return headers + self._cors(request) if self._origins else headers

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
                "path": request.path[:LONGEST_LOGGED_PATH].decode("latin-1"),
                "route": name or None,
                "caller": _caller(so_far),
                "address": request.address,
                "status": status,
                "code": code,
                "revision": so_far.table and so_far.table.revision,
                "ms": round(seconds * 1000, 3),
            }
        )


def _is_reserved(scope: Scope) -> bool:
    """By the raw path: `%2F` is no separator here either."""
    return paths.is_reserved(scope["raw_path"].decode("latin-1"))


def _refusal(request: Request, slug: str, message: str | None = None) -> Response:
    return respond.refusal(Reject(slug, message), statuses.COMMON[slug], request.id)


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


async def _read_body(request: Request, receive: Receive, limit: int) -> bytes:
    """The whole body, counted while it is read. Raises Reject: payload-too-large."""
    announced = request.headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced[:20]) > limit:
        raise Reject("payload-too-large")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise Reject("payload-too-large")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
