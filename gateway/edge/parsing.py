"""What the parser takes and the edge does not, and how it says so."""

from typing import Any, Protocol

import httptools
import orjson

from gateway import statuses

SLASH = b"/"


class UnacceptableError(Exception):
    """A head that the parser takes and that has no place here; the text says why."""


def parser(callbacks: object) -> Any:  # noqa: ANN401 - httptools has no types
    """A parser that calls these back."""
    made = httptools.HttpRequestParser(callbacks)
    # Requests after one that asked to close are read, and not answered.
    made.set_dangerous_leniencies(lenient_data_after_close=True)
    return made


def judge(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse a head that has no single meaning. Raises UnacceptableError.

    The edge asks only about heads that are not of HTTP/1.1 with each header once, and a length.
    """
    if version not in {"1.0", "1.1"}:
        raise UnacceptableError("the versions of HTTP here are 1.0 and 1.1")
    modern = version == "1.1"
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (modern and hosts == 0):
        raise UnacceptableError("a request names exactly one Host")
    if b"transfer-encoding" in names:
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        if not (modern and codings == [b"chunked"]):
            raise UnacceptableError("the only transfer coding is chunked, in HTTP/1.1")


def target(url: bytes) -> tuple[bytes, bytes]:
    """The path and the query of a request's target. Raises UnacceptableError."""
    if url.startswith(SLASH) and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError as error:
        raise UnacceptableError("its target cannot be read") from error
    if not parsed.path:
        raise UnacceptableError("its target has no path")
    return parsed.path, parsed.query or b""


def expects_continue(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the client waits to be told that it may send its body."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def refusal(why: str, request_id: str) -> bytes:
    """The whole answer to what is no request."""
    body = orjson.dumps(
        {
            "code": 400,
            "status": statuses.INVALID_REQUEST,
            "message": f"This is not a request that can be read: {why}.",
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
    """What a parser calls back."""

    def on_message_begin(self) -> None:
        """A head begins."""

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""

    def on_headers_complete(self) -> None:
        """The head is whole."""

    def on_body(self, body: bytes) -> None:
        """Part of a body."""

    def on_message_complete(self) -> None:
        """The request is whole."""


class UpgradeIgnored:
    """Callbacks after an upgrade that was not offered: the first head is none of the client's."""

    def __init__(self, others: Callbacks) -> None:
        self._others = others
        self._is_ours = True
        self.on_body = others.on_body
        self.on_message_complete = others.on_message_complete

    def on_message_begin(self) -> None:
        """A head begins."""
        if not self._is_ours:
            self._others.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        if not self._is_ours:
            self._others.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if not self._is_ours:
            self._others.on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._is_ours:
            self._is_ours = False
        else:
            self._others.on_headers_complete()
