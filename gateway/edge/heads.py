"""Heads of answers: from a status and ASGI's headers to the bytes of HTTP/1.1."""

import http
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

BODILESS = frozenset((204, 304))

_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FORBIDDEN = bytes((*range(9), *range(10, 32), 127))
_ALLOWED = bytes(set(range(256)) - set(_FORBIDDEN))
_CRLF = b"\r\n"

CLOSE_AND_END = b"connection: close\r\n\r\n"


class Head(NamedTuple):
    """An answer's head, and what its headers say about the body and the connection.

    `lines` lacks the empty line at the end; `length` is the Content-Length, None if there is none.
    """

    lines: bytes
    length: int | None
    chunked: bool
    close: bool


def render(status: int, default_lines: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """Write a head: the status line, `default_lines`, the headers.

    Raises ValueError if the name or the value of a header is invalid.
    """
    parts = [status_line(status)]
    length: int | None = None
    chunked = close = False
    for name, value in headers:
        prefix, is_framing = _prefix(name)
        parts += prefix, value, _CRLF
        if is_framing:
            if prefix == b"content-length: " and not chunked and length is None:
                length = int(value)
            elif prefix == b"transfer-encoding: ":
                chunked = chunked or value.lower() == b"chunked"
            else:
                close = close or b"close" in _tokens(value)
    lines = b"".join(parts)
    # One check for all values: control characters other than tabs are what `translate` leaves.
    if lines.translate(None, _ALLOWED) != _CRLF * (len(parts) // 3 + 1):
        raise ValueError("a header value has a control character")
    return Head(
        lines=parts[0] + default_lines + lines[len(parts[0]) :],
        length=length,
        chunked=chunked,
        close=close,
    )


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write headers without checking them."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


@lru_cache(maxsize=1024)
def status_line(status: int) -> bytes:
    """The first line of an answer; a status that HTTP does not define has no phrase."""
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


@lru_cache(maxsize=1024)
def _prefix(name: bytes) -> tuple[bytes, bool]:
    """The name in lower case with its colon, and whether `render` has to read the value.

    Raises ValueError if the name is invalid.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("invalid header name")
    lower = name.lower()
    return lower + b": ", lower in {b"content-length", b"transfer-encoding", b"connection"}


def _tokens(value: bytes) -> list[bytes]:
    return [token.lower().strip() for token in value.split(b",")]
