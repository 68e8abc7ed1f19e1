"""The checks of a request's head that the parser leaves out, and the answer to a malformed one."""

from typing import Any, Protocol

import httptools
import orjson

from gateway import statuses

SLASH = b"/"


class BadRequestError(Exception):
    """A request that the parser accepts and the edge refuses; the text is the reason."""


def make_parser(callbacks: object) -> Any:  # noqa: ANN401 - httptools has no types
    """A parser of requests that reports to `callbacks`, see `Callbacks`."""
    parser = httptools.HttpRequestParser(callbacks)
    # Without it data after a request with `Connection: close` is an error; we ignore that data.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def check_head(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse a head that servers could read in different ways. Raises BadRequestError.

    The edge skips this for the usual head: HTTP/1.1, a Host, no header twice, no transfer coding.
    """
    if version not in {"1.0", "1.1"}:
        raise BadRequestError("the HTTP version must be 1.0 or 1.1")
    modern = version == "1.1"
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (modern and hosts == 0):
        raise BadRequestError("exactly one Host header is required")
    if b"transfer-encoding" in names:
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        if not (modern and codings == [b"chunked"]):
            raise BadRequestError("Transfer-Encoding must be chunked, in HTTP/1.1 only")


def split_target(url: bytes) -> tuple[bytes, bytes]:
    """The path and the query of a request target. Raises BadRequestError."""
    if url.startswith(SLASH) and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError as error:
        raise BadRequestError("the request target is not a valid URL") from error
    if not parsed.path:
        raise BadRequestError("the request target has no path")
    return parsed.path, parsed.query or b""


def expects_continue(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the client waits for 100 Continue before it sends the body."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def refusal(reason: str, request_id: str) -> bytes:
    """The whole answer to a malformed request: 400 and `invalid-request`, in the envelope."""
    body = orjson.dumps(
        {
            "code": 400,
            "status": statuses.INVALID_REQUEST,
            "message": f"Malformed HTTP request: {reason}.",
            "request_id": request_id,
        }
    )
    head = (
        "HTTP/1.1 400 Bad Request\r\n"
        f"x-request-id: {request_id}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        "cache-control: no-store\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body


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
