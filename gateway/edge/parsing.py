"""The checks of a request's head that the parser leaves out, and the answer to a malformed one."""

import re
from functools import lru_cache
from typing import Any, Protocol

import httptools
import orjson

from gateway import statuses
from gateway.edge import heads

SLASH = b"/"

DECIDING = (b"host", b"authorization", b"content-type", b"idempotency-key")
"""Headers that decide something: of two, one server takes the first and another the last."""

_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"(https?)://([^/?]*)([^?]*)(?:\?(.*))?", re.IGNORECASE)
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


class BadRequestError(Exception):
    """A request that the parser accepts and the edge refuses, with one of the common statuses.

    The text is the reason.
    """

    def __init__(self, reason: str, slug: str = statuses.INVALID_REQUEST) -> None:
        super().__init__(reason)
        self.slug = slug


def make_parser(callbacks: object) -> Any:  # noqa: ANN401 - httptools has no types
    """A parser of requests that reports to `callbacks`, see `Callbacks`."""
    parser = httptools.HttpRequestParser(callbacks)
    # Without it data after a request with `Connection: close` is an error; we ignore that data.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


@lru_cache(maxsize=1024)
def is_host(value: bytes) -> bool:
    """Whether a Host header is a name or an address, with or without a port."""
    return _HOST.fullmatch(value) is not None


def check_head(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse a head that servers could read in different ways. Raises BadRequestError.

    The edge skips this for the usual head: HTTP/1.1, a Host, no header twice, no transfer coding.
    """
    if version not in {"1.0", "1.1"}:
        raise BadRequestError("the HTTP version must be 1.0 or 1.1")
    modern = version == "1.1"
    names = [name for name, _ in headers]
    if modern and b"host" not in names:
        raise BadRequestError("a Host header is required")
    for name in DECIDING:
        if names.count(name) > 1:
            raise BadRequestError(f"more than one {name.decode()} header")
    if not all(is_host(value) for name, value in headers if name == b"host"):
        raise BadRequestError("the Host header is not a host with an optional port")
    if b"transfer-encoding" in names:
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        if not (modern and codings == [b"chunked"]):
            raise BadRequestError("Transfer-Encoding must be chunked, in HTTP/1.1 only")


def split_target(url: bytes, host: bytes | None) -> tuple[bytes, bytes]:
    """The path and the query of a request target. Raises BadRequestError."""
    if b"#" in url:
        raise BadRequestError("the request target has a fragment")
    if url.startswith(SLASH):
        path, _, query = url.partition(b"?")
        return path, query
    if url == b"*":
        return url, b""
    parts = _ABSOLUTE.fullmatch(url)
    if parts is None:
        raise BadRequestError("the request target is neither a path nor an http or https URL")
    scheme, authority, path, query = parts.groups(b"")
    if not is_host(authority) or _differ(scheme.lower(), authority, host):
        raise BadRequestError("the request target and the Host header name different hosts")
    if not path:
        raise BadRequestError("the request target has no path")
    return path, query


def _differ(scheme: bytes, authority: bytes, host: bytes | None) -> bool:
    """Whether two hosts differ, but for the case and the default port. HTTP/1.0 needs no Host."""
    port = _DEFAULT_PORTS[scheme]
    plain = [text.lower().removesuffix(port) for text in (authority, host or authority)]
    return plain[0] != plain[1]


def expects_continue(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the client waits for 100 Continue before it sends the body."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def cause(error: Exception) -> tuple[str, str]:
    """The slug and the reason of an error.

    If a callback raised it, the parser raises an error of its own, with that one as context.
    """
    for known in (error, error.__context__):
        if isinstance(known, MemoryError):
            return statuses.SERVICE_UNAVAILABLE, "There is not enough memory for this request"
        if isinstance(known, BadRequestError):
            return known.slug, str(known)
    return statuses.INVALID_REQUEST, str(error)


def refusal(reason: str, request_id: str, slug: str, *, has_help: bool) -> bytes:
    """The whole answer to a request that the edge refuses, in the envelope."""
    status = statuses.COMMON[slug]
    overloaded = slug == statuses.SERVICE_UNAVAILABLE
    body = orjson.dumps(
        {
            "code": status.http,
            "status": slug,
            "message": f"{reason}." if overloaded else f"Malformed HTTP request: {reason}.",
            "request_id": request_id,
            **({"help": statuses.help_path(slug)} if has_help else {}),
        }
    )
    head = (
        f"x-request-id: {request_id}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        + ("retry-after: 1\r\n" if overloaded else "")
        + "cache-control: no-store\r\n"
        "connection: close\r\n\r\n"
    )
    return heads.status_line(status.http) + head.encode() + body


class Callbacks(Protocol):
    """The methods that a parser calls."""

    def on_message_begin(self) -> None:
        """A head begins."""

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""

    def on_headers_complete(self) -> None:
        """The head is complete."""

    def on_body(self, body: bytes) -> None:
        """Part of a body."""

    def on_message_complete(self) -> None:
        """The request is complete."""


class UpgradeIgnored:
    """Callbacks of the parser that takes over at a refused upgrade: they skip the first head.

    That head was written by the edge, not by the client.
    """

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._in_own_head = True
        self.on_body = callbacks.on_body
        self.on_message_complete = callbacks.on_message_complete

    def on_message_begin(self) -> None:
        """A head begins."""
        if not self._in_own_head:
            self._callbacks.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        if not self._in_own_head:
            self._callbacks.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if not self._in_own_head:
            self._callbacks.on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        if self._in_own_head:
            self._in_own_head = False
        else:
            self._callbacks.on_headers_complete()
