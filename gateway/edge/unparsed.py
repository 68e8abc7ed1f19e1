"""Bytes that were read and not parsed yet: how they are cut, and which connection parses next.

A single read may hold ten thousand small requests, or as many chunks. Parsed at once, the reads of
a few clients would block the event loop for a tenth of a second.
"""

import asyncio
import time
from collections import OrderedDict
from typing import Protocol

PIECE = 2 * 1024
"""The most bytes of a head to parse at once."""

CHUNKS = 1024
"""The most bytes of a chunked body to parse at once: each chunk, however small, is a callback."""

MIN_PIECE = 64
"""Bytes that a smaller piece counts as, so that one turn does not parse very many of them."""

HEAD_END = b"\r\n\r\n"
"""What ends a head, a chunked body, and its trailers."""

TURN = 0.001
"""Seconds for which all connections together parse, in one iteration of the event loop."""

MAX_READS = 50
"""Reads that are parsed immediately in an iteration of the event loop; further ones wait.

Usually each is a whole request, whose task then runs.
"""

MAX_TURNS = 20
"""Connections that parse in one iteration of the event loop, even if `TURN` has not passed."""

_RESET_READS = MAX_READS // 2
"""Reads after which the next iteration counts from 0: a callback for each read would cost."""

_LINE_ENDS = b"\r\n"


class Unparsed:
    """A buffer of `size` bytes in the order of arrival; taking some does not move the rest."""

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

    def take_piece(self, limit: int) -> bytes:
        """Take at most `limit` bytes. A request can begin only at their start.

        A piece stops after the first end of a head. Line ends are a separate piece: they may be the
        rest of such an end, or empty lines before a request.
        """
        piece = self._data[self._start : self._start + limit]
        if piece[:1] in _LINE_ENDS:
            size = len(piece) - len(piece.lstrip(_LINE_ENDS))
        else:
            end = piece.find(HEAD_END)
            size = limit if end < 0 else end + len(HEAD_END)
        return self.take(size)


class Parser(Protocol):
    """A connection that has unparsed bytes."""

    @property
    def network(self) -> str:
        """The network of the client: networks take turns, however many connections each has."""

    def parse_more(self) -> None:
        """Parse a part of them; take another turn if bytes are left."""


class ParseTurns:
    """Lets connections parse in turn, for at most `TURN` seconds in an iteration of the event loop.

    So other requests are parsed and answered in between, however many clients send a lot at once.
    """

    def __init__(self, turn: float = TURN) -> None:
        self._reads = 0
        self._turn = turn
        self._clients: OrderedDict[str, OrderedDict[Parser, None]] = OrderedDict()
        self._is_scheduled = False

    def is_late(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Count a read; whether more than `MAX_READS` came in this iteration of the event loop."""
        self._reads += 1
        if self._reads == _RESET_READS:
            loop.call_soon(self._reset)
        return self._reads > MAX_READS

    def _reset(self) -> None:
        self._reads = 0

    def add(self, parser: Parser, loop: asyncio.AbstractEventLoop) -> None:
        """Queue a connection to parse; if it is added twice, it gets one turn."""
        self._clients.setdefault(parser.network, OrderedDict())[parser] = None
        self._schedule(loop)

    def discard(self, parser: Parser) -> None:
        """Remove a closed connection."""
        if self._clients and (waiting := self._clients.get(parser.network)):
            waiting.pop(parser, None)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        end = time.monotonic() + self._turn
        for _ in range(MAX_TURNS):
            self._run_next()
            if not self._clients or time.monotonic() >= end:
                break
        self._is_scheduled = False
        if self._clients:
            self._schedule(loop)

    def _run_next(self) -> None:
        """Let one connection of the next client parse; then that client is last in the queue."""
        network, waiting = self._clients.popitem(last=False)
        if not waiting:
            return
        parser = waiting.popitem(last=False)[0]
        if waiting:
            self._clients[network] = waiting
        parser.parse_more()
