"""One request and its answer on a connection.

The gateway's own answers go out whole, by `answer`; ASGI's scope, `receive` and `send` are there
for every other application.
"""

import asyncio
import logging
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

from gateway.edge import heads
from gateway.edge.channel import Channel

Message: TypeAlias = MutableMapping[str, Any]
Serve: TypeAlias = Callable[["Exchange"], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

HIGH_WATER = 65536
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

_log = logging.getLogger(__name__)


class Exchange:
    """What the application and the connection tell each other of one request.

    `listed` are the headers as they came, `headers` has the last of those that came twice. `gone`
    says that nobody waits for the answer any more, `complete` that it was given. `on_answered` is
    called when the answer is complete, `on_finished` when the application has returned.
    """

    version = "1.1"
    expects_continue = False
    gone = False
    complete = False
    written = False
    task: asyncio.Task[None] | None = None
    _body: bytes | bytearray = b""
    _more_body = True
    _told_all = False
    _waiter: asyncio.Future[None] | None = None
    _head: bytes | None = None
    _chunked = False
    _left = 0

    def __init__(  # noqa: PLR0913 - what came, where it goes, and who is told
        self,
        channel: Channel,
        asked: tuple[str, bytes, bytes],
        listed: list[Header],
        headers: dict[bytes, bytes],
        *,
        keep_alive: bool,
        on_answered: Callable[["Exchange"], None],
        on_finished: Callable[["Exchange"], None],
    ) -> None:
        self.method, self.path, self.query = asked
        self.listed = listed
        self.headers = headers
        self.peer = channel.peer
        self.keep_alive = keep_alive
        self._channel = channel
        self._on_answered = on_answered
        self._on_finished = on_finished

    @property
    def transport(self) -> Any:  # noqa: ANN401 - uvloop's own class
        """The connection's, as uvicorn's own exchanges have it."""
        return self._channel.transport

    @cached_property
    def scope(self) -> dict[str, Any]:
        """ASGI's, made for those who ask."""
        path = self.path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self.version,
            "root_path": "",
            "headers": self.listed,
            "method": self.method,
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": self.path,
            "query_string": self.query,
            **self._channel.scope(),
        }

    async def run(self, serve: Serve) -> None:
        """Let it be answered; whatever becomes of it, the connection stays sound."""
        try:
            await serve(self)
            if not (self.complete or self.gone):
                await self._abort("the application returned before its answer was complete")
        except BaseException:  # noqa: BLE001 - the server goes on, as after any fault
            _log.exception("Exception in ASGI application")
            await self._abort("")
        finally:
            self._on_finished(self)

    async def _abort(self, why: str) -> None:
        """Say that there is no answer or, where there is half of one, close the connection."""
        if why:
            _log.error("%s", why)
        if self.written or self.complete:
            self._channel.close()
            return
        self._head = None
        await self.send(CRASH)
        await self.send(CRASH_BODY)

    def take(self, body: bytes) -> None:
        """Part of the request's body came."""
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
            self._wake()

    def take_end(self) -> None:
        """The request is whole."""
        self._more_body = False
        if self._waiter:
            self._wake()

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        if not self.complete:
            self.gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        """ASGI: what came of the body, or that the request is over."""
        if self.expects_continue:
            self.expects_continue = False
            if not self.written:
                self._channel.write(CONTINUE)
        while not (self.gone or self.complete):
            if self._body or not (self._more_body or self._told_all):
                body, self._body = bytes(self._body), b""
                self._told_all = not self._more_body
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

    def whole_body(self) -> bytes | None:
        """The body, if all of it is here and nobody has to be told to send it."""
        if self._more_body or self._told_all or self.gone or self.expects_continue:
            return None
        self._told_all = True
        body, self._body = self._body, b""
        return bytes(body)

    def has_left(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.gone

    async def answer(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send the whole answer; the headers are sound and give the body's length."""
        channel = self._channel
        if channel.drained and not self.gone:
            await channel.drained.wait()
        if self.gone:
            return
        self._mind_body()
        channel.write(
            heads.status_line(status)
            + channel.default_lines()
            + heads.lines(headers if self.keep_alive else (*headers, heads.CLOSE))
            + b"\r\n"
            + body
        )
        self.written = True
        self._end()

    async def send(self, message: Message) -> None:
        """ASGI: the head, which waits for the body's first piece, then the body."""
        if self._channel.drained and not self.gone:
            await self._channel.drained.wait()
        if self.gone:
            return
        kind = message["type"]
        if self._head is None and kind == "http.response.start":
            self._start(message)
        elif self._head and not self.complete and kind == "http.response.body":
            self._go_on(self._head, message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind!r} cannot be sent now")

    def _start(self, message: Message) -> None:
        """Judge a head, which is written with the first piece of the body."""
        status: int = message["status"]
        lines, length, chunked, close = heads.render(
            status, self._channel.default_lines(), message.get("headers", ())
        )
        self._mind_body()
        if close:
            self.keep_alive = False
        elif not self.keep_alive:
            lines += b"connection: close\r\n"
        if length is None and not chunked and self._may_have_body(status):
            chunked = True
            lines += b"transfer-encoding: chunked\r\n"
        self._head = lines + b"\r\n"
        self._chunked = chunked
        self._left = 0 if chunked or self.method == "HEAD" else length or 0

    def _mind_body(self) -> None:
        """Close after an answer to whose body nobody asked: what comes next on it is unknown."""
        if self.expects_continue and self._more_body:
            self.keep_alive = False

    def _may_have_body(self, status: int) -> bool:
        return self.method != "HEAD" and status not in heads.BODILESS

    def _go_on(self, head: bytes, body: bytes, more: bool) -> None:  # noqa: FBT001 - ASGI's
        if self.method == "HEAD":
            body = b""
        elif self._chunked:
            body = _chunk(body, more=more)
        else:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the body is not as long as its Content-Length")
        self._channel.write(body if self.written else head + body)
        self.written = True
        self.expects_continue = False
        if not more:
            self._end()

    def _end(self) -> None:
        self.complete = True
        if self._waiter:
            self._wake()
        self._on_answered(self)


def _chunk(body: bytes, *, more: bool) -> bytes:
    """A piece of a body whose length nobody announced."""
    piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return piece if more else piece + b"0\r\n\r\n"
