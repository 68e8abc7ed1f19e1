"""A connection as its exchanges see it: whose turn it is, how fast it goes, how long it stays."""

import asyncio
from collections import deque
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from gateway.edge.channel import WRITE_TIMEOUT, Channel
from gateway.edge.http1 import Exchange, Serve


class Connection(asyncio.Protocol):
    """The half of a connection that answers: one exchange at a time, in the order of requests."""

    transport: Any
    channel: Channel

    _newest: Exchange | None = None
    _active: Exchange | None = None
    _in_request = False
    _idle_timer: asyncio.TimerHandle | None = None
    _idle_since: float | None = None

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        app: Any = config.loaded_app
        # The gate, which has `serve`, takes exchanges as they are; any other speaks ASGI.
        self._serve: Serve = getattr(app, "serve", None) or _asgi(app)
        self._keep_alive: float = config.timeout_keep_alive
        self._server = server_state
        # Of the server's own protocols alone, says its type.
        self._connections: set[Any] = server_state.connections
        self._app_state = app_state
        self._waiting: deque[Exchange] = deque()

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's own class
        """A client has connected."""
        self._connections.add(self)
        self.transport = transport
        self.channel = Channel(transport, self.loop, self._server, self._app_state)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """The connection is gone, and nobody waits for what was asked over it."""
        self._connections.discard(self)
        if self._idle_timer:
            self._idle_timer.cancel()
        for exchange in (self._active, self._newest, *self._waiting):
            if exchange:
                exchange.leave()
        self._waiting.clear()
        self.channel.resume_writing()

    def queue(self, exchange: Exchange) -> None:
        """Let the application have a request, now or after those before it."""
        before, self._newest = self._newest, exchange
        if before is None or before.complete:
            self._start(exchange)
        else:
            self.channel.pause_reading()
            self._waiting.append(exchange)

    def _start(self, exchange: Exchange) -> None:
        self._active = exchange
        exchange.task = self.loop.create_task(exchange.run(self._serve))
        self._server.tasks.add(exchange.task)

    def answered(self, exchange: Exchange) -> None:
        """An answer is complete: the next request's turn, or the client's."""
        self._server.total_requests += 1
        if not exchange.keep_alive:
            self.transport.close()
        if self.transport.is_closing():
            return
        # Nothing more is read while requests wait: each would bring in as many as fit into a read.
        if self._waiting:
            self._start(self._waiting.popleft())
        else:
            self.channel.resume_reading()
            self.rest()

    def finished(self, exchange: Exchange) -> None:
        """The application has done with a request."""
        if exchange.task:
            self._server.tasks.discard(exchange.task)

    def rest(self) -> None:
        """Give the client until `timeout_keep_alive` for its next request."""
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self._keep_alive, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Close, or look again when it might be time: a busy connection has one timer for all."""
        self._idle_timer = None
        if self._idle_since is None or self._in_request:
            return
        left = self._idle_since + self._keep_alive - self.loop.time()
        if left <= 0:
            self.transport.close()
            # Which waits until what was written is read, and the client may never do that.
            self.loop.call_later(WRITE_TIMEOUT, self.transport.abort)
        else:
            self._idle_timer = self.loop.call_later(left, self._close_if_idle)

    def shutdown(self) -> None:
        """The server stops: finish what is begun, and nothing more."""
        if self._newest is None or self._newest.complete:
            self.transport.close()
        else:
            self._newest.keep_alive = False

    def pause_writing(self) -> None:
        """asyncio: the transport's buffer is full."""
        self.channel.pause_writing()

    def resume_writing(self) -> None:
        """asyncio: the transport's buffer has drained."""
        self.channel.resume_writing()


def _asgi(app: Any) -> Serve:  # noqa: ANN401 - any ASGI application
    return lambda exchange: app(exchange.scope, exchange.receive, exchange.send)
