"""The edge: what a connection may send before there is a request, and how long it may take.

uvicorn has no such limits. What has no single meaning is answered with a 400 in our envelope and
the connection is closed; a connection that trickles is cut.
"""

import asyncio
import logging
import secrets
from typing import Any, Literal

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 32 * 1024
MAX_HEADERS = 100
HEAD_WITHIN = 10.0
BODY_WINDOW = 10.0
"""Seconds; in each such window a body that is not complete must bring `BODY_LEAST` bytes."""

BODY_LEAST = 10 * 1024

_log = logging.getLogger(__name__)


class UnacceptableError(Exception):
    """A head that the parser takes and that has no place here; the text says why."""


class Edge(HttpToolsProtocol):
    """uvicorn's protocol with limits.

    A timer runs only while a head or a body is incomplete after a read: an ordinary request,
    which arrives whole, pays for none.
    """

    _reading: Literal["nothing", "head", "body"] = "nothing"
    _size = 0
    _unfinished = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's own class
        """A client has connected and has `HEAD_WITHIN` seconds to say what it wants."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_WITHIN, self._cut, "no request came")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what has no single meaning."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
            self._count_unfinished(len(data))
        except httptools.HttpParserUpgrade:
            _log.debug("an upgrade was asked for; none is offered")
        except (httptools.HttpParserError, UnacceptableError) as error:
            self._refuse(error)
        else:
            self._watch()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._reading, self._size, self._unfinished = "head", 0, 0

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._count(len(name) + len(value) + len(b": \r\n"))
        if len(self.headers) >= MAX_HEADERS:
            raise UnacceptableError(f"more than {MAX_HEADERS} headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: now it must have one meaning."""
        modern = self.parser.get_http_version() == "1.1"
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (modern and hosts == 0):
            raise UnacceptableError("a request names exactly one Host")
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and not (modern and codings == [b"chunked"]):
            raise UnacceptableError("the only transfer coding is chunked, in HTTP/1.1")
        self._stop_timer()
        self._reading, self._size = "body", 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of a body."""
        self._size += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._stop_timer()
        self._reading = "nothing"
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_HEAD:
            raise UnacceptableError(f"the head is larger than {MAX_HEAD} bytes")

    def _count_unfinished(self, size: int) -> None:
        """The parser keeps an endless header to itself: count what it was fed."""
        if self._reading == "head":
            self._unfinished += size
            if self._unfinished > MAX_HEAD:
                raise UnacceptableError(f"the head is larger than {MAX_HEAD} bytes")

    def _watch(self) -> None:
        """Time what is incomplete, and only that."""
        if self._timer is not None:
            return
        if self._reading == "head":
            self._timer = self.loop.call_later(HEAD_WITHIN, self._cut, "the head took too long")
        elif self._reading == "body":
            self._timer = self.loop.call_later(BODY_WINDOW, self._judge_body, self._size)

    def _judge_body(self, before: int) -> None:
        self._timer = None
        # A body that is not read, since an earlier answer is still due, is not to blame.
        if self.flow.read_paused or self._size - before >= BODY_LEAST:
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

    def _answer_is_due(self) -> bool:
        """Whether an earlier request on this connection still waits for its answer."""
        # uvicorn's type says that there always is a cycle; before the first request there is none.
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, error: Exception) -> None:
        """Answer 400 and close, but not before an answer that is due to an earlier request."""
        self._stop_timer()
        # What a callback raises reaches us as the context of the parser's own error.
        why = error.__context__ if isinstance(error.__context__, UnacceptableError) else error
        request_id = secrets.token_hex(16)
        _log.info("%s: a request was refused at the edge: %s", request_id, why)
        if self._reading == "head" and self._answer_is_due():
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self._reading == "body":
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not (self._reading == "body" and self.cycle.response_started):
            self.transport.write(_answer(str(why), request_id))
        self.transport.close()


def _answer(why: str, request_id: str) -> bytes:
    body = orjson.dumps(
        {
            "code": 400,
            "status": "invalid-request",
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
