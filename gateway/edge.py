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
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

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
    _taking_over = False
    _before: RequestResponseCycle | None = None

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
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except (httptools.HttpParserError, UnacceptableError) as error:
            self._refuse(error)
        else:
            self._watch()

    def _stay(self, rest: bytes) -> None:
        """No upgrade is offered: read the body and what follows as if none had been asked for.

        The parser believes that what follows is another protocol, so that a new one takes over,
        told of the body's framing by a head of our own.
        """
        framing = (b"content-length", b"transfer-encoding")
        head = [name + b": " + value for name, value in self.headers if name in framing]
        self.parser = httptools.HttpRequestParser(self)
        self._taking_over = True
        self.data_received(b"\r\n".join([b"POST / HTTP/1.1", *head, b"", b""]) + rest)

    def on_message_begin(self) -> None:
        """A head begins."""
        if self._taking_over:
            return
        super().on_message_begin()
        self._reading, self._size, self._unfinished = "head", 0, 0

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        if self._taking_over:
            return
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if self._taking_over:
            return
        self._count(len(name) + len(value) + len(b": \r\n"))
        if len(self.headers) >= MAX_HEADERS:
            raise UnacceptableError(f"more than {MAX_HEADERS} headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: now it must have one meaning."""
        if self._taking_over:
            self._taking_over = False
            return
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            raise UnacceptableError("the versions of HTTP here are 1.0 and 1.1")
        modern = version == "1.1"
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (modern and hosts == 0):
            raise UnacceptableError("a request names exactly one Host")
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and not (modern and codings == [b"chunked"]):
            raise UnacceptableError("the only transfer coding is chunked, in HTTP/1.1")
        before = self.cycle
        super().on_headers_complete()
        self._before = before
        self._stop_timer()
        self._reading, self._size = "body", 0

    def on_body(self, body: bytes) -> None:
        """Part of a body."""
        self._size += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self.parser.should_upgrade():
            return  # it is not: see `_stay`
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

    def _refuse(self, error: Exception) -> None:
        """Answer 400 and close, but not before an answer that is due to an earlier request."""
        self._stop_timer()
        # What a callback raises reaches us as the context of the parser's own error.
        why = error.__context__ if isinstance(error.__context__, UnacceptableError) else error
        request_id = secrets.token_hex(16)
        _log.info("%s: a request was refused at the edge: %s", request_id, why)
        broken = self._break_off() if self._reading == "body" else None
        earlier: Any = self._before if broken else self.cycle
        if earlier is not None and not earlier.response_complete:
            earlier.keep_alive = False
            self.flow.pause_reading()
            return
        if broken is None or not broken.response_started:
            self.transport.write(_answer(str(why), request_id))
        self.transport.close()

    def _break_off(self) -> RequestResponseCycle:
        """Give up the request whose body is broken; it may run, or wait for an earlier one."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        waiting = [entry for entry in self.pipeline if entry[0] is not self.cycle]
        self.pipeline.clear()
        self.pipeline.extend(waiting)
        return self.cycle


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
