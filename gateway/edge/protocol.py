"""The edge: HTTP/1.1 on a connection, with limits on heads and on slow clients.

uvicorn's server runs this protocol in place of its own ones, which have no such limits and write
each answer twice. A malformed or ambiguous request is answered with a 400 in our envelope and the
connection is closed; so is, without an answer, the connection of a client that sends too slowly.
"""

import asyncio
from typing import Any

import httptools

from gateway import statuses
from gateway.edge import addresses, parsing
from gateway.edge.connection import Connection
from gateway.edge.http1 import Http1Exchange
from gateway.edge.parsing import BadRequestError
from gateway.edge.unparsed import CHUNKS, HEAD_END, MIN_PIECE, PIECE
from gateway.runtime import events, random_ids

MAX_HEAD = 32 * 1024
MAX_HEADERS = 100
HEAD_TIMEOUT = 10.0
BODY_WINDOW = 10.0
"""Seconds; in each such window an incomplete body must grow by `MIN_BODY_BYTES` bytes."""

MIN_BODY_BYTES = 10 * 1024
MAX_BODY_WINDOWS = 6
"""Windows after which a body must be complete, however steadily it grows."""

MAX_TARGET = 8 * 1024
_TOO_LONG = f"the request target is longer than {MAX_TARGET} bytes"
_TOO_LARGE = f"the request line and the headers are larger than {MAX_HEAD} bytes"


class Edge(Connection):
    """The receiving half of a connection: the parser's callbacks, in the order of their calls.

    A timer runs only while a head or a body is incomplete after a read: an ordinary request
    arrives in one read and pays for none.
    """

    _in_body = False
    _url = b""
    _headers: list[tuple[bytes, bytes]]
    _previous: Http1Exchange | None = None
    _body_size = 0
    _body_windows = 0
    _progressed = False
    _pending_size = 0
    _refused = False
    _timer: asyncio.TimerHandle | None = None
    _head_begin = b""
    _piece = b""

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's own class
        """asyncio: a client has connected; its first request must come within `HEAD_TIMEOUT`."""
        super().connection_made(transport)
        self._parser = parsing.make_parser(self)
        self._timer = self.loop.call_later(HEAD_TIMEOUT, self._close_slow, "no request came")

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is closed."""
        self._stop_timer()
        super().connection_lost(exc)
        # The parser holds our methods: break the circle, so that neither waits for the collector.
        self._parser = self._previous = None

    def data_received(self, data: bytes) -> None:
        """asyncio: parse what was received; refuse a malformed or ambiguous request.

        Usually it is one whole request; anything else is parsed in pieces. When very many requests
        arrive at the same moment, the later ones wait for their turn.
        """
        if self._refused:
            return
        is_late = self._turns.is_late(self.loop)
        is_new_request = not (self._in_request or self._unparsed.size)
        if is_new_request and not is_late and len(data) <= PIECE and data.count(HEAD_END) <= 1:
            self.run_after(self._parse, data)
            return
        self._unparsed.append(data)
        if is_late:
            self._wait_for_turn()
        else:
            self.parse_more()

    def parse_more(self) -> None:
        """Parse a head or a part of a body, unless an earlier answer is due first.

        The rest takes turns with the bytes of other connections.
        """
        unparsed, allowed = self._unparsed, CHUNKS
        while unparsed.size and allowed > 0 and not (self._is_answering() or self._refused):
            # A body of known length is one callback.
            piece = unparsed.take(self._body_left())
            if not piece:
                piece = unparsed.take_piece(CHUNKS if self._in_body else PIECE)
                allowed -= max(MIN_PIECE, len(piece))
            self._parse(piece)
        if self._refused:
            unparsed.clear()
        elif unparsed.size:
            self._wait_for_turn()
        elif self.channel.is_held:
            self.channel.is_held = False
            if not self._waiting:
                self.channel.resume_reading()

    def _body_left(self) -> int:
        """The missing bytes of a body whose length is known; otherwise 0."""
        if not (self._in_body and self._newest):
            return 0
        length = self._newest.headers.get(b"content-length")
        return int(length) - self._body_size if length else 0

    def _is_answering(self) -> bool:
        """Whether a whole request is not answered yet: the next one is parsed after that."""
        newest = self._newest
        return bool(newest and not newest.complete and (self._waiting or not self._in_body))

    def _wait_for_turn(self) -> None:
        """Parse the unparsed bytes in a later turn; if there are many, stop reading until then."""
        if self._unparsed.size > PIECE:
            self.channel.hold_reading()
        if not self._in_body:
            # The rest of a head may be here already.
            self._stop_timer()
        if not self._is_answering():
            self._turns.add(self, self.loop)

    def _parse(self, piece: bytes) -> None:
        self._piece = piece
        self._progressed = False
        try:
            self._parser.feed_data(piece)
            if self._in_request:
                self._limit_incomplete()
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(piece[upgrade.args[0] :])
        except (httptools.HttpParserError, BadRequestError, MemoryError) as error:
            self._refuse(error)
        # An idle connection keeps no body.
        self._piece = b""

    def _limit_incomplete(self) -> None:
        """Limit the time and the size of a request that is incomplete after a read.

        The parser buffers a header until its end and calls nothing back meanwhile, so reads that
        brought no progress are counted here.
        """
        if not self._progressed:
            self._pending_size += len(self._piece)
            if len(self._url) > MAX_TARGET:
                raise BadRequestError(_TOO_LONG, statuses.URI_TOO_LONG)
            if self._pending_size > MAX_HEAD:
                raise BadRequestError(_TOO_LARGE, statuses.HEADERS_TOO_LARGE)
        self._check_header_count()
        if not self._in_body:
            # If the piece also ended an earlier request, the head begins after that.
            end = self._piece.index(HEAD_END) + len(HEAD_END) if self._progressed else 0
            self._head_begin += self._piece[end and end + self._body_size :]
        self._start_timer()

    def _ignore_upgrade(self, data: bytes) -> None:
        """Read the body and what follows as if the client had not requested an upgrade.

        The parser takes `data` for another protocol. A new parser replaces it, and learns the
        framing of the body from a head of our own.
        """
        framing = (b"content-length", b"transfer-encoding")
        headers = self._newest.header_list if self._newest else ()
        lines = [name + b": " + value for name, value in headers if name in framing]
        self._parser = parsing.make_parser(parsing.UpgradeIgnored(self))
        self._parse(b"\r\n".join([b"POST / HTTP/1.1", *lines, b"", b""]))
        if data:
            self._unparsed.prepend(data)
            self.parse_more()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._idle_since = None
        self._in_request = True
        self._url = b""
        self._headers = []
        self._pending_size = 0

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer of a chunked body, which is dropped."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is complete: check it and run or queue its exchange."""
        headers = self._headers
        count = len(headers)
        if count > MAX_HEADERS:
            self._check_header_count()
        # Only a head that came in several pieces can be too large.
        if self._pending_size > MAX_TARGET - PIECE:
            self._check_head_size()
        parser = self._parser
        version, method = "1.1", parser.get_method()
        line = b"%b %b HTTP/1.1\r\n" % (method, self._url)
        if self._head_begin or not self._piece.startswith(line):
            version = parser.get_http_version()
            self._check_request_line(b"%b %b HTTP/%b\r\n" % (method, self._url, version.encode()))
        by_name = dict(headers)
        is_usual = b"host" in by_name and b"transfer-encoding" not in by_name
        if version != "1.1" or len(by_name) != count or not is_usual:
            parsing.check_head(version, headers)
            by_name = addresses.by_name(headers)
        elif not parsing.is_host(by_name[b"host"]):
            raise BadRequestError("the Host header is not a host with an optional port")
        path, query = parsing.split_target(self._url, by_name.get(b"host"))
        exchange = Http1Exchange(
            self.channel,
            method=method.decode("ascii"),
            path=path,
            query=query,
            header_list=headers,
            headers=by_name,
            keep_alive=version == "1.1" and parser.should_keep_alive() and not self._draining,
            on_answered=self.on_answered,
            on_finished=self.on_finished,
        )
        if version != "1.1":
            exchange.version = version
        elif b"expect" in by_name:
            exchange.expects_continue = parsing.expects_continue(headers)
        self._previous = self._newest
        self.enqueue(exchange)
        if self._timer:
            self._stop_timer()
        self._in_body = self._progressed = True
        self._body_size = self._body_windows = self._pending_size = 0
        # A new list, so that trailers of the body stay out of the request's scope.
        self._headers = []
        self._head_begin = b""

    def _check_request_line(self, line: bytes) -> None:
        """Refuse a request line that is not `line`: the parser takes more blanks, and RTSP.

        A request begins at the start of a piece; empty lines may come before it.
        """
        if not (self._head_begin + self._piece).lstrip(b"\r\n").startswith(line):
            raise BadRequestError("the request line must be a method, a target and HTTP/1.1")

    def _check_header_count(self) -> None:
        if len(self._headers) > MAX_HEADERS:
            raise BadRequestError(f"more than {MAX_HEADERS} headers", statuses.HEADERS_TOO_LARGE)

    def _check_head_size(self) -> None:
        """Refuse a target, headers, or the trailers of a body that are too large."""
        if len(self._url) > MAX_TARGET:
            raise BadRequestError(_TOO_LONG, statuses.URI_TOO_LONG)
        lengths = (len(name) + len(value) + len(b": \r\n") for name, value in self._headers)
        if len(self._url) + sum(lengths) > MAX_HEAD:
            raise BadRequestError(_TOO_LARGE, statuses.HEADERS_TOO_LARGE)

    def on_body(self, body: bytes) -> None:
        """Part of a body."""
        self._body_size += len(body)
        self._progressed = True
        self._pending_size = 0
        if self._newest:
            self._newest.feed_data(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._parser.should_upgrade():
            return  # the body is still to come: see `_ignore_upgrade`
        if self._headers:
            self._check_header_count()
            self._check_head_size()
        if self._timer:
            self._stop_timer()
        self._in_request = self._in_body = False
        self._progressed = True
        if self._newest:
            self._newest.feed_eof()
            if self._newest.complete:
                self.mark_idle()

    def _start_timer(self) -> None:
        """Limit the time of an incomplete head, or the rate of an incomplete body."""
        if self._timer is not None or not self._in_request:
            return
        if self._in_body:
            self._timer = self.loop.call_later(BODY_WINDOW, self._check_rate, self._body_size)
        else:
            self._timer = self.loop.call_later(
                HEAD_TIMEOUT, self._close_slow, "the head took too long"
            )

    def _check_rate(self, size_before: int) -> None:
        self._timer = None
        # While reading is paused, for an earlier answer, the client cannot send more.
        if self.channel.read_paused:
            self._start_timer()
            return
        self._body_windows += 1
        if self._body_size - size_before < MIN_BODY_BYTES:
            self._close_slow("the body came too slowly")
        elif self._body_windows >= MAX_BODY_WINDOWS:
            self._close_slow("the body took too long")
        else:
            self._start_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_slow(self, reason: str) -> None:
        events.emit(events.EDGE_CONNECTION_CUT, reason=reason)
        self.transport.close()

    def _refuse(self, error: Exception) -> None:
        """Answer and close, after the answers to earlier requests."""
        self._refused = True
        self._unparsed.clear()
        self._stop_timer()
        slug, reason = parsing.cause(error)
        request_id = random_ids.make()
        events.emit(events.EDGE_REQUEST_REFUSED, request_id=request_id, reason=reason)
        broken = self._abandon_request() if self._in_body else None
        earlier = self._previous if broken else self._newest
        refusal = parsing.refusal(reason, request_id, slug, has_help=self._has_help)
        if earlier is not None and not earlier.complete:
            self._refusal = refusal
            self.channel.pause_reading()
            return
        if broken is None or not broken.written:
            self.transport.write(refusal)
        self.transport.close()

    def _abandon_request(self) -> Http1Exchange | None:
        """End the exchange whose body is malformed; it may be running or waiting."""
        broken = self._newest
        if broken:
            broken.disconnect()
            if broken in self._waiting:
                self._waiting.remove(broken)
        return broken
