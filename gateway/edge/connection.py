"""A connection as its exchanges see it: whose turn it is, how fast it goes, how long it stays."""

import asyncio
from collections import deque
from typing import Any

import uvicorn
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from gateway import addresses
from gateway.edge import heads
from gateway.edge.exchange import Exchange, Serve

WRITE_WITHIN = 30.0
"""Seconds that a client has to read what it was answered, once the buffers are full."""


class Connection(asyncio.Protocol):
    """The half of a connection that answers: one exchange at a time, in the order of requests."""

    transport: Any
    drained: asyncio.Event | None = None
    """What to wait for before more is written; None while the client keeps up."""

    _newest: Exchange | None = None
    _active: Exchange | None = None
    _read_paused = False
    _in_request = False
    _idle_timer: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None
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
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""
        self._waiting: deque[Exchange] = deque()

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's own class
        """A client has connected."""
        self._connections.add(self)
        self.transport = transport
        client = get_remote_addr(transport)
        self.peer = client[0] if client else addresses.UNKNOWN
        self._peers = {
            "server": get_local_addr(transport),
            "client": client,
            "scheme": "https" if is_ssl(transport) else "http",
        }

    def scope(self) -> dict[str, Any]:
        """What ASGI's scope says of a connection."""
        return {"state": self._app_state.copy(), **self._peers}

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """The connection is gone, and nobody waits for what was asked over it."""
        self._connections.discard(self)
        if self._idle_timer:
            self._idle_timer.cancel()
        for exchange in (self._active, self._newest, *self._waiting):
            if exchange:
                exchange.leave()
        self._waiting.clear()
        self.resume_writing()

    def queue(self, exchange: Exchange) -> None:
        """Let the application have a request, now or after those before it."""
        before, self._newest = self._newest, exchange
        if before is None or before.complete:
            self._start(exchange)
        else:
            self.pause_reading()
            self._waiting.append(exchange)

    def _start(self, exchange: Exchange) -> None:
        self._active = exchange
        exchange.task = self.loop.create_task(exchange.run(self._serve))
        self._server.tasks.add(exchange.task)

    def default_lines(self) -> bytes:
        """The headers that the server gives every answer, made once a second."""
        if self._default_headers is not self._server.default_headers:
            self._default_headers = self._server.default_headers
            self._default_lines = heads.lines(self._default_headers)
        return self._default_lines

    def write(self, data: bytes) -> None:
        """Send some bytes."""
        self.transport.write(data)

    def close(self) -> None:
        """Close after what is written."""
        self.transport.close()

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
            self.resume_reading()
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
            self.loop.call_later(WRITE_WITHIN, self.transport.abort)
        else:
            self._idle_timer = self.loop.call_later(left, self._close_if_idle)

    def shutdown(self) -> None:
        """The server stops: finish what is begun, and nothing more."""
        if self._newest is None or self._newest.complete:
            self.transport.close()
        else:
            self._newest.keep_alive = False

    def pause_reading(self) -> None:
        """Take no more from the client for now."""
        if not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if self._read_paused:
            self._read_paused = False
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """The client does not read as quickly as answers are written."""
        self.drained = asyncio.Event()
        self._stuck = self.loop.call_later(WRITE_WITHIN, self.transport.abort)

    def resume_writing(self) -> None:
        """It has caught up, or left."""
        if self._stuck:
            self._stuck.cancel()
        if self.drained:
            self.drained.set()
            self.drained = None


def _asgi(app: Any) -> Serve:  # noqa: ANN401 - any ASGI application
    return lambda exchange: app(exchange.scope, exchange.receive, exchange.send)
