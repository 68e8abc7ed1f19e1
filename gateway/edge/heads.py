"""Heads of answers, from ASGI's headers to the bytes of HTTP/1.1."""

import http
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

BODILESS = frozenset((204, 304))

_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FORBIDDEN = bytes((*range(9), *range(10, 32), 127))
_ALLOWED = bytes(set(range(256)) - set(_FORBIDDEN))
_CRLF = b"\r\n"

CLOSE = (b"connection", b"close")


Head: TypeAlias = tuple[bytes, int | None, bool, bool]
"""The lines without the empty one; the body's length, if known; whether it is chunked; whether
the connection is closed after it."""


def render(status: int, before: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """A head; `before` are lines that stand before its own. Raises ValueError."""
    parts = [status_line(status)]
    length: int | None = None
    chunked = close = False
    for name, value in headers:
        prefix, is_special = _known(name)
        parts += prefix, value, _CRLF
        if is_special:
            if prefix == b"content-length: " and not chunked and length is None:
                length = int(value)
            elif prefix == b"transfer-encoding: ":
                chunked = chunked or value.lower() == b"chunked"
            else:
                close = close or b"close" in _tokens(value)
    lines = b"".join(parts)
    # All at once: whatever stands in a value and is neither text nor a tab is left over here.
    if lines.translate(None, _ALLOWED) != _CRLF * (len(parts) // 3 + 1):
        raise ValueError("a header has a value that no header can have")
    return parts[0] + before + lines[len(parts[0]) :], length, chunked, close


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers that are known to be sound."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


@lru_cache(maxsize=1024)
def status_line(status: int) -> bytes:
    """The first line of an answer."""
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


@lru_cache(maxsize=1024)
def _known(name: bytes) -> tuple[bytes, bool]:
    """A name with its colon, and whether it says something of the body or the connection.

    Raises ValueError if no header can be named so.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a header has a name that no header can have")
    lower = name.lower()
    return lower + b": ", lower in {b"content-length", b"transfer-encoding", b"connection"}


def _tokens(value: bytes) -> list[bytes]:
    return [token.lower().strip() for token in value.split(b",")]
