"""The edge: HTTP/1.1 on a connection, with limits on what comes before there is a request.

uvicorn's server runs it in the place of its own protocols, which have no such limits and write
each answer twice. What has no single meaning is answered with a 400 in our envelope and the
connection is closed; a connection that trickles is cut.
"""

import asyncio
import logging
from typing import Any

import httptools

from gateway.edge import parsing, request_ids
from gateway.edge.connection import Connection
from gateway.edge.http1 import Exchange
from gateway.edge.parsing import UnacceptableError

__all__ = ["BODY_WINDOW", "HEAD_TIMEOUT", "MAX_HEAD", "MAX_HEADERS", "MIN_BODY_BYTES", "Edge"]

MAX_HEAD = 32 * 1024
MAX_HEADERS = 100
HEAD_TIMEOUT = 10.0
BODY_WINDOW = 10.0
"""Seconds; in each such window a body that is not complete must bring `MIN_BODY_BYTES` bytes."""

MIN_BODY_BYTES = 10 * 1024

_log = logging.getLogger(__name__)


class Edge(Connection):
    """The half of a connection that reads: the parser's callbacks, in the order they come.

    A timer runs only while a head or a body is incomplete after a read: an ordinary request,
    which arrives whole, pays for none.
    """

    _in_body = False
    _url = b""
    _headers: list[tuple[bytes, bytes]]
    _before: Exchange | None = None
    _received = 0
    _read = 0
    _moved = False
    _unmoved = 0
    _refused = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's own class
        """A client has connected and has `HEAD_TIMEOUT` seconds to say what it wants."""
        super().connection_made(transport)
        self._parser = parsing.parser(self)
        self._timer = self.loop.call_later(HEAD_TIMEOUT, self._cut, "no request came")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_timer()
        super().connection_lost(exc)
        # It calls back methods of ours: without it neither waits for the garbage collector.
        self._parser = None

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what has no single meaning."""
        if self._refused:
            return
        self._received = len(data)
        self._moved = False
        try:
            self._parser.feed_data(data)
            if self._in_request:
                self._bound()
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except (httptools.HttpParserError, UnacceptableError) as error:
            self._refuse(error)

    def _bound(self) -> None:
        """Time what is incomplete, and count what the parser keeps to itself: it may be endless."""
        if not self._moved:
            self._unmoved += self._received
            if self._unmoved > MAX_HEAD:
                raise UnacceptableError(f"the head is larger than {MAX_HEAD} bytes")
        self._refuse_many()
        self._watch()

    def _stay(self, rest: bytes) -> None:
        """No upgrade is offered: read the body and what follows as if none had been asked for.

        The parser believes that what follows is another protocol, so that a new one takes over,
        told of the body's framing by a head of our own.
        """
        framing = (b"content-length", b"transfer-encoding")
        given = self._newest.listed if self._newest else ()
        head = [name + b": " + value for name, value in given if name in framing]
        self._parser = parsing.parser(parsing.UpgradeIgnored(self))
        self.data_received(b"\r\n".join([b"POST / HTTP/1.1", *head, b"", b""]) + rest)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._idle_since = None
        self._in_request = True
        self._url = b""
        self._headers = []
        self._unmoved = 0

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one that trails a body in chunks and is dropped."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole: now it must have one meaning."""
        headers = self._headers
        if len(headers) > MAX_HEADERS:
            self._refuse_many()
        # Only what came in several reads, or in a large one, can be too large.
        if self._received + self._unmoved > MAX_HEAD:
            self._refuse_large()
        parser = self._parser
        version = parser.get_http_version()
        named = dict(headers)
        is_plain = b"host" in named and b"transfer-encoding" not in named
        if version != "1.1" or len(named) != len(headers) or not is_plain:
            parsing.judge(version, headers)
        asked = parser.get_method().decode("ascii"), *parsing.target(self._url)
        keep_alive = version == "1.1" and parser.should_keep_alive()
        exchange = Exchange(
            self.channel,
            asked,
            headers,
            named,
            keep_alive=keep_alive,
            on_answered=self.answered,
            on_finished=self.finished,
        )
        if version != "1.1":
            exchange.version = version
        elif b"expect" in named:
            exchange.expects_continue = parsing.expects_continue(headers)
        self._before = self._newest
        self.queue(exchange)
        if self._timer:
            self._stop_timer()
        self._in_body = self._moved = True
        self._read = self._unmoved = 0
        # What trails a body must not come into the scope of its request.
        self._headers = []

    def _refuse_many(self) -> None:
        if len(self._headers) > MAX_HEADERS:
            raise UnacceptableError(f"more than {MAX_HEADERS} headers")

    def _refuse_large(self) -> None:
        lengths = (len(name) + len(value) + len(b": \r\n") for name, value in self._headers)
        if len(self._url) + sum(lengths) > MAX_HEAD:
            raise UnacceptableError(f"the head is larger than {MAX_HEAD} bytes")

    def on_body(self, body: bytes) -> None:
        """Part of a body."""
        self._read += len(body)
        self._moved = True
        self._unmoved = 0
        if self._newest:
            self._newest.take(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._parser.should_upgrade():
            return  # it is not: see `_stay`
        if self._timer:
            self._stop_timer()
        self._in_request = self._in_body = False
        self._moved = True
        if self._newest:
            self._newest.take_end()
            if self._newest.complete:
                self.rest()

    def _watch(self) -> None:
        """Time what is incomplete, and only that."""
        if self._timer is not None or not self._in_request:
            return
        if self._in_body:
            self._timer = self.loop.call_later(BODY_WINDOW, self._judge_body, self._read)
        else:
            self._timer = self.loop.call_later(HEAD_TIMEOUT, self._cut, "the head took too long")

    def _judge_body(self, before: int) -> None:
        self._timer = None
        # A body that is not read, since an earlier answer is still due, is not to blame.
        if self.channel.read_paused or self._read - before >= MIN_BODY_BYTES:
            self._watch()
        else:
            self._cut("the body trickled")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut(self, why: str) -> None:
        _log.info("a connection was cut: %s", why)
        self.transport.close()

    def _refuse(self, error: Exception) -> None:
        """Answer 400 and close, but not before an answer that is due to an earlier request."""
        self._refused = True
        self._stop_timer()
        # What a callback raises reaches us as the context of the parser's own error.
        why = error.__context__ if isinstance(error.__context__, UnacceptableError) else error
        request_id = request_ids.make()
        _log.info("%s: a request was refused at the edge: %s", request_id, why)
        broken = self._break_off() if self._in_body else None
        earlier = self._before if broken else self._newest
        if earlier is not None and not earlier.complete:
            earlier.keep_alive = False
            self.channel.pause_reading()
            return
        if broken is None or not broken.written:
            self.transport.write(parsing.refusal(str(why), request_id))
        self.transport.close()

    def _break_off(self) -> Exchange | None:
        """Give up the request whose body is broken; it may run, or wait for an earlier one."""
        broken = self._newest
        if broken:
            broken.leave()
            if broken in self._waiting:
                self._waiting.remove(broken)
        return broken
