"""One request and its answer on a connection of our own edge.

The gateway sends its answers whole, with `answer`; `scope`, `receive` and `send` serve ASGI
applications.
"""

import asyncio
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from typing import Any, TypeAlias

from gateway.edge import heads
from gateway.edge.channel import Channel
from gateway.runtime import events

Message: TypeAlias = MutableMapping[str, Any]
Serve: TypeAlias = Callable[["Http1Exchange"], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

HIGH_WATER = 65536
"""Bytes of a body that wait to be taken before the connection stops reading."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CRASH: Message = {
    "type": "http.response.start",
    "status": 500,
    "headers": [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"21"),
        (b"connection", b"close"),
    ],
}
CRASH_BODY: Message = {"type": "http.response.body", "body": b"Internal Server Error"}


class Http1Exchange:
    """One request, the bytes of its body as they arrive, and its answer.

    `header_list` are the headers in their order; where one came twice, `headers` has the last.
    `disconnected` is true once the client has closed the connection before its answer, `complete`
    once the answer was written. `on_answered` is called when the answer is complete, `on_finished`
    when the application has returned.
    """

    version = "1.1"
    expects_continue = False
    disconnected = False
    complete = False
    written = False
    task: asyncio.Task[None] | None = None
    _body: bytes | bytearray = b""
    _more_body = True
    _body_delivered = False
    _waiter: asyncio.Future[None] | None = None
    _left: Callable[[], None] | None = None
    _head: bytes | None = None
    _chunked = False
    _remaining = 0

    def __init__(  # noqa: PLR0913 - the parts of a request, its channel and two callbacks
        self,
        channel: Channel,
        *,
        method: str,
        path: bytes,
        query: bytes,
        header_list: list[Header],
        headers: dict[bytes, bytes],
        keep_alive: bool,
        on_answered: Callable[["Http1Exchange"], None],
        on_finished: Callable[["Http1Exchange"], None],
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.header_list = header_list
        self.headers = headers
        self.peer = channel.peer
        self.keep_alive = keep_alive
        self._channel = channel
        self._on_answered = on_answered
        self._on_finished = on_finished

    @property
    def transport(self) -> Any:  # noqa: ANN401 - uvloop's own class
        """The connection's transport, as uvicorn's own exchanges have it."""
        return self._channel.transport

    @cached_property
    def scope(self) -> dict[str, Any]:
        """The ASGI scope, built at the first use: the gateway's own answers need none."""
        path = self.path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self.version,
            "root_path": "",
            "headers": self.header_list,
            "method": self.method,
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": self.path,
            "query_string": self.query,
            **self._channel.scope(),
        }

    async def run(self, serve: Serve) -> None:
        """Have the application answer; if it fails, answer 500 or close the connection."""
        try:
            await serve(self)
            if not (self.complete or self.disconnected):
                reason = "the application returned before its answer was complete"
                events.emit(events.EDGE_ANSWER_FAILED, reason=reason)
                await self._abort()
        except BaseException as error:  # noqa: BLE001 - the server goes on, whatever was raised
            events.emit(events.EDGE_ANSWER_FAILED, trace=error, reason=type(error).__name__)
            await self._abort()
        finally:
            self._on_finished(self)

    async def _abort(self) -> None:
        """Answer 500 or, if part of an answer was sent, close the connection."""
        if self.written or self.complete:
            self._channel.close()
            return
        self._head = None
        await self.send(CRASH)
        await self.send(CRASH_BODY)

    def feed_data(self, body: bytes) -> None:
        """Add a part of the request's body; pause reading above `HIGH_WATER`."""
        if self.complete:
            return
        if not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        if len(self._body) > HIGH_WATER:
            self._channel.pause_reading()
        if self._waiter:
            self._wake_receiver()

    def feed_eof(self) -> None:
        """Note that the request's body is complete."""
        self._more_body = False
        if self._waiter:
            self._wake_receiver()

    def disconnect(self) -> None:
        """Note that the client has disconnected: an answer that is not complete is dropped."""
        if not self.complete:
            self.disconnected = True
            if self._left:
                self._left()
        self._wake_receiver()

    def _wake_receiver(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        """ASGI: the part of the body that has arrived, or that the exchange is over."""
        if self.expects_continue:
            self.expects_continue = False
            if not self.written:
                self._channel.write(CONTINUE)
        while not (self.disconnected or self.complete):
            if self._body or not (self._more_body or self._body_delivered):
                body, self._body = bytes(self._body), b""
                self._body_delivered = not self._more_body
                return {"type": "http.request", "body": body, "more_body": self._more_body}
            await self._wait()
        return {"type": "http.disconnect"}

    async def _wait(self) -> None:
        self._channel.resume_reading()
        self._waiter = self._channel.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def take_body(self) -> bytes | None:
        """The complete body, once; None if it has to be read with `receive`."""
        if self._more_body or self._body_delivered or self.disconnected or self.expects_continue:
            return None
        self._body_delivered = True
        body, self._body = self._body, b""
        return bytes(body)

    def close_after_answer(self) -> None:
        """Close the connection after the answer: what follows is not read."""
        self.keep_alive = False

    def is_disconnected(self) -> bool:
        """Whether the client disconnected before its answer was complete."""
        return self.disconnected

    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        """Call this if the client disconnects before its answer; None ends that."""
        self._left = callback

    async def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Send the whole answer; see `Exchange.answer`."""
        channel = self._channel
        if channel.drained and not self.disconnected:
            await channel.drained.wait()
        if self.disconnected:
            return
        if self.expects_continue:
            self._close_if_body_unsent()
        channel.write(
            heads.status_line(status)
            + channel.default_header_lines()
            + lines
            + (b"\r\n" if self.keep_alive else heads.CLOSE_AND_END)
            + body
        )
        self.written = True
        self._mark_complete()

    async def send(self, message: Message) -> None:
        """ASGI: the head, which is written with the first part of the body, then the body."""
        if self._channel.drained and not self.disconnected:
            await self._channel.drained.wait()
        if self.disconnected:
            return
        kind = message["type"]
        if self._head is None and kind == "http.response.start":
            self._prepare_head(message)
        elif self._head and not self.complete and kind == "http.response.body":
            self._send_body(self._head, message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"ASGI message {kind!r} is out of order")

    def _prepare_head(self, message: Message) -> None:
        status: int = message["status"]
        lines, length, chunked, close = heads.render(
            status, self._channel.default_header_lines(), message.get("headers", ())
        )
        self._close_if_body_unsent()
        if close:
            self.keep_alive = False
        elif not self.keep_alive:
            lines += b"connection: close\r\n"
        if length is None and not chunked and self._may_have_body(status):
            chunked = True
            lines += b"transfer-encoding: chunked\r\n"
        self._head = lines + b"\r\n"
        self._chunked = chunked
        self._remaining = 0 if chunked or self.method == "HEAD" else length or 0

    def _close_if_body_unsent(self) -> None:
        """Close after an answer that came before 100 Continue.

        What the client sends next, the body or another request, would be ambiguous.
        """
        if self.expects_continue and self._more_body:
            self.keep_alive = False

    def _may_have_body(self, status: int) -> bool:
        return self.method != "HEAD" and status not in heads.BODILESS

    def _send_body(self, head: bytes, body: bytes, more: bool) -> None:  # noqa: FBT001 - ASGI's
        if self.method == "HEAD":
            body = b""
        elif self._chunked:
            body = _encode_chunk(body, more=more)
        else:
            self._remaining -= len(body)
            if self._remaining < 0 or (self._remaining and not more):
                raise RuntimeError("the body's length differs from Content-Length")
        self._channel.write(body if self.written else head + body)
        self.written = True
        self.expects_continue = False
        if not more:
            self._mark_complete()

    def _mark_complete(self) -> None:
        self.complete = True
        if self._waiter:
            self._wake_receiver()
        self._on_answered(self)


def _encode_chunk(body: bytes, *, more: bool) -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk if more else chunk + b"0\r\n\r\n"
