"""The sending half of a connection: the order of answers, flow control and keep-alive."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from gateway.edge import addresses
from gateway.edge.channel import WRITE_TIMEOUT, Channel
from gateway.edge.http1 import Http1Exchange, Serve
from gateway.edge.unparsed import ParseTurns, Unparsed

STOP_IDLE_TIMEOUT = 5.0
"""Seconds for which a stopping server keeps idle connections, however long it does otherwise."""


class EdgeState(ServerState):
    """uvicorn's state of a server, and how it stops.

    Its connections take `turns` to parse the bytes that they have read and not parsed yet.
    While `draining`, each answer closes its connection. A `patient` server leaves idle connections
    open for their usual time: the client may be sending its next request just now. With `has_help`
    the edge's refusals name the page that explains them.
    """

    has_help = False
    draining = False
    patient = False

    def __init__(self) -> None:
        super().__init__()
        self.turns = ParseTurns()

    def drain(self) -> None:
        """Have each answer close its connection from now on."""
        self.draining = True
        for connection in list(self.connections):
            if isinstance(connection, Connection):
                connection.drain()


class Connection(asyncio.Protocol):
    """Runs the exchanges of a connection, one at a time and in the order of requests."""

    transport: Any
    channel: Channel

    _newest: Http1Exchange | None = None
    _active: Http1Exchange | None = None
    _is_parsing = False
    _unstarted: Http1Exchange | None = None
    _in_request = False
    _refusal = b""
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
        # The gate has `serve` and takes exchanges directly; any other application speaks ASGI.
        self._serve: Serve = getattr(app, "serve", None) or _asgi(app)
        self._keep_alive: float = config.timeout_keep_alive
        self._server = server_state
        # Other servers, such as that of the admin port, have uvicorn's own state.
        edge_state = server_state if isinstance(server_state, EdgeState) else EdgeState()
        self._draining = edge_state.draining
        self._turns = edge_state.turns
        self._has_help = edge_state.has_help
        self._unparsed = Unparsed()
        # uvicorn's type allows its own protocols only.
        self._connections: set[Any] = server_state.connections
        self._app_state = app_state
        self._waiting: deque[Http1Exchange] = deque()

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's own class
        """asyncio: a client has connected."""
        self._connections.add(self)
        self.transport = transport
        self.channel = Channel(transport, self.loop, self._server, self._app_state)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """asyncio: the connection is closed; disconnect its exchanges."""
        self._connections.discard(self)
        if self._idle_timer:
            self._idle_timer.cancel()
        for exchange in (self._active, self._newest, *self._waiting):
            if exchange:
                exchange.disconnect()
        # They refer to this connection: a cycle would keep their bodies until garbage is collected.
        self._active = self._newest = None
        self._waiting.clear()
        self._unparsed.clear()
        self._turns.discard(self)
        self.channel.resume_writing()

    def run_after(self, parse: Callable[[bytes], None], data: bytes) -> None:
        """Parse a read with one request at most, and run that when all of the read is parsed."""
        self._is_parsing = True
        parse(data)
        self._is_parsing = False
        if exchange := self._unstarted:
            self._unstarted = None
            self._start_at_once(exchange)

    def enqueue(self, exchange: Http1Exchange) -> None:
        """Run an exchange, now or after the earlier ones of the connection."""
        previous, self._newest = self._newest, exchange
        if previous is None or previous.complete:
            if self._is_parsing:
                self._unstarted = exchange
            else:
                self._start(exchange)
        else:
            self.channel.pause_reading()
            self._waiting.append(exchange)

    def _start(self, exchange: Http1Exchange) -> None:
        self._active = exchange
        exchange.task = self.loop.create_task(exchange.run(self._serve))
        self._server.tasks.add(exchange.task)

    def _start_at_once(self, exchange: Http1Exchange) -> None:
        """Run an exchange up to its first wait; one that waits for nothing needs no turn.

        Tasks can do that since Python 3.12.
        """
        if sys.version_info < (3, 12):
            self._start(exchange)
            return
        self._active = exchange
        task = asyncio.Task(exchange.run(self._serve), loop=self.loop, eager_start=True)
        if not task.done():
            exchange.task = task
            self._server.tasks.add(task)

    def on_answered(self, exchange: Http1Exchange) -> None:
        """An answer is complete: start the next exchange, or read the next request."""
        self._server.total_requests += 1
        if not exchange.keep_alive:
            self.transport.close()
        if self.transport.is_closing():
            return
        # Read no more while requests wait: each read brings in as many as fit into it.
        if self._waiting:
            self._start(self._waiting.popleft())
        elif self._refusal:
            self.transport.write(self._refusal)
            self.transport.close()
        else:
            self.mark_idle()
            if self.channel.read_paused and not self._unparsed.size:
                self.channel.resume_reading()
        if self._unparsed.size:
            # It may hold the body of the request that was just started.
            self._turns.add(self, self.loop)

    def on_finished(self, exchange: Http1Exchange) -> None:
        """The application has returned from an exchange."""
        if exchange.task:
            self._server.tasks.discard(exchange.task)

    @property
    def network(self) -> str:
        """The network of the client, by which limits tell clients apart."""
        return addresses.client_network(self.channel.peer)

    def parse_more(self) -> None:
        """Parse a part of the bytes that wait to be parsed."""
        raise NotImplementedError

    def mark_idle(self) -> None:
        """Give the client `timeout_keep_alive` seconds for its next request."""
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self._keep_alive, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Close an idle connection, otherwise check again later.

        A busy connection has one timer for all its requests instead of one for each.
        """
        self._idle_timer = None
        if self._idle_since is None or self._in_request:
            return
        remaining = self._idle_since + self._keep_alive - self.loop.time()
        if remaining <= 0:
            self.transport.close()
            # `close` waits until the client has read all that was written, which may be never.
            self.loop.call_later(WRITE_TIMEOUT, self.transport.abort)
        else:
            self._idle_timer = self.loop.call_later(remaining, self._close_if_idle)

    def shutdown(self) -> None:
        """uvicorn: the server stops; finish the requests that have arrived, then close."""
        self.drain()
        if self._newest is not None and not self._newest.complete:
            return
        if not (isinstance(self._server, EdgeState) and self._server.patient):
            self.transport.close()
        elif not self._in_request:
            self._hasten_idle_timer()

    def _hasten_idle_timer(self) -> None:
        """Close the connection if no request comes within the time that a stop has for it."""
        self._keep_alive = min(self._keep_alive, STOP_IDLE_TIMEOUT)
        if self._idle_timer:
            self._idle_timer.cancel()
            self._close_if_idle()
        else:
            self.mark_idle()

    def drain(self) -> None:
        """Close the connection after the answer to its newest request, or to its next one."""
        self._draining = True
        if self._newest is not None and not self._newest.complete:
            self._newest.keep_alive = False

    def pause_writing(self) -> None:
        """asyncio: the transport's buffer is full."""
        self.channel.pause_writing()

    def resume_writing(self) -> None:
        """asyncio: the transport's buffer has drained."""
        self.channel.resume_writing()


def _asgi(app: Any) -> Serve:  # noqa: ANN401 - any ASGI application
    return lambda exchange: app(exchange.scope, exchange.receive, exchange.send)
