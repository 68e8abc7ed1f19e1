"""What was read from clients and is not parsed yet: where it is cut, and whose turn it is.

A single read may hold ten thousand small requests, or as many chunks. Parsed at once, the reads of
a few clients would hold the event loop for a tenth of a second.
"""

import asyncio
import time
from collections import OrderedDict
from typing import Protocol

PIECE = 4 * 1024
"""Bytes that are parsed at once, but for a body of known length, which is one callback."""

HEAD_END = b"\r\n\r\n"
"""What ends a head, a chunked body, and its trailers."""

TURN = 0.004
"""Seconds that all connections together parse what is left over, in one turn of the loop."""

_LINE_ENDS = b"\r\n"


class Unparsed:
    """Bytes in the order of their arrival, `size` of them; what is taken does not move the rest."""

    def __init__(self) -> None:
        self.size = 0
        self._data = b""
        self._start = 0

    def append(self, data: bytes) -> None:
        """Add what was read."""
        self._replace(self._data[self._start :] + data if self.size else data)

    def prepend(self, data: bytes) -> None:
        """Give back what was taken last."""
        self._replace(data + self._data[self._start :])

    def clear(self) -> None:
        """Drop everything."""
        self._replace(b"")

    def _replace(self, data: bytes) -> None:
        self._data, self._start, self.size = data, 0, len(data)

    def take(self, size: int) -> bytes:
        """The first `size` bytes, or fewer if there are fewer."""
        piece = self._data[self._start : self._start + size]
        self._start += len(piece)
        self.size -= len(piece)
        return piece

    def take_piece(self) -> bytes:
        """At most `PIECE` bytes, in which no request begins but at their start.

        They end with the first end of a head. Line ends are a piece of their own, since they may
        be the rest of such an end; and empty lines may stand before a request.
        """
        piece = self._data[self._start : self._start + PIECE]
        if piece[:1] in _LINE_ENDS:
            size = len(piece) - len(piece.lstrip(_LINE_ENDS))
        else:
            end = piece.find(HEAD_END)
            size = PIECE if end < 0 else end + len(HEAD_END)
        return self.take(size)


class Parser(Protocol):
    """A connection that has unparsed bytes."""

    def parse_more(self) -> None:
        """Parse a little; take another turn if bytes are left."""


class ParseTurns:
    """Turns of connections, for at most `TURN` seconds in one turn of the event loop.

    So however many clients send a lot at once, other requests are parsed and answered in between.
    """

    def __init__(self, turn: float = TURN) -> None:
        self._turn = turn
        self._parsers: OrderedDict[Parser, None] = OrderedDict()
        self._is_scheduled = False

    def add(self, parser: Parser, loop: asyncio.AbstractEventLoop) -> None:
        """Let a connection parse in its turn, which it has once however often it is added."""
        self._parsers[parser] = None
        self._schedule(loop)

    def discard(self, parser: Parser) -> None:
        """Forget a connection that is closed."""
        self._parsers.pop(parser, None)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        # First, so that those that take another turn now take it in the next one of the loop.
        turns, end = len(self._parsers), time.monotonic() + self._turn
        while turns and self._parsers:
            self._parsers.popitem(last=False)[0].parse_more()
            turns = turns - 1 if time.monotonic() < end else 0
        self._is_scheduled = False
        if self._parsers:
            self._schedule(loop)
