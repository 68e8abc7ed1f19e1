"""A keep-alive client connection that says how it ended, for calls whose answer may be lost."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from bench.client import body_length

_Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

MAX_IDLE = 2.0
"""Seconds after which a connection is not used again.

The server closes it after 5 s without a request, perhaps at the moment of the next one.
"""

ANSWER_TIMEOUT = 30.0
"""Seconds that a client waits: three times the timeout of a route."""


class LostError(Exception):
    """No answer arrived; the text says what the connection did instead."""


class HttpAnswer(NamedTuple):
    """An answer: its code, its head in lower case, and its body."""

    code: int
    head: bytes
    body: bytes


def request(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "host: chaos", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """Connects when it has to, to the port that `find_port` returns at that moment."""

    def __init__(self, find_port: Callable[[], int], host: str = "127.0.0.1") -> None:
        self._find_port = find_port
        self._host = host
        self._streams: _Streams | None = None
        self._used_at = 0.0

    async def ask(self, request: bytes) -> HttpAnswer:
        """Send a request and return its answer. Raises LostError."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await self._ask(request)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise LostError("no answer in time") from error
            if isinstance(error, EOFError | OSError):
                raise LostError(type(error).__name__) from error
            raise

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._streams is not None:
            self._streams[1].transport.abort()
        self._streams = None

    async def _ask(self, request: bytes) -> HttpAnswer:
        reader, writer = await self._open()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(body_length(head))
        self._used_at = time.monotonic()
        if b"\r\nconnection: close\r\n" in head:
            self.close()
        return HttpAnswer(int(head.split(b" ", 2)[1]), head, body)

    async def _open(self) -> _Streams:
        """The streams of the connection, or of a new one if it cannot be used."""
        is_old = time.monotonic() - self._used_at > MAX_IDLE
        if self._streams is None or self._streams[0].at_eof() or is_old:
            self.close()
            self._streams = await asyncio.open_connection(self._host, self._find_port())
        return self._streams
