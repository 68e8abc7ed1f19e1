"""What an exchange may do with its connection: write, close, and control the flow both ways.

The model is uvicorn's `FlowControl`. An exchange gets a channel instead of its connection, since
the connection knows other exchanges.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from gateway.edge import addresses, heads
from gateway.runtime import events

WRITE_TIMEOUT = 30.0
"""Seconds that a client has to read its answers once the write buffers are full."""


class Channel:
    """One client's transport.

    Before writing more, wait for the event `drained`; it is None while the client keeps up.
    `peer` is the address of the other end, or the one that its PROXY header names.
    `read_paused` is true while the transport does not read. While `is_held`, `resume_reading` does
    nothing.
    """

    def __init__(
        self,
        transport: Any,  # noqa: ANN401 - uvloop's own class
        loop: asyncio.AbstractEventLoop,
        server: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        self.transport = transport
        self.loop = loop
        # Bound once, so that an answer is one call of the transport's own method.
        self.write: Callable[[bytes], None] = transport.write
        self.close: Callable[[], None] = transport.close
        self.drained: asyncio.Event | None = None
        self.read_paused = False
        self.is_held = False
        client = get_remote_addr(transport)
        self.peer = addresses.plain(client[0]) if client else addresses.UNKNOWN
        self._peer_port = client[1] if client else 0
        self._server = server
        self._app_state = app_state
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""
        self._write_timer: asyncio.TimerHandle | None = None

    def scope(self) -> dict[str, Any]:
        """The connection's part of an ASGI scope; without addresses if the client disconnected."""
        has_left = self.transport.is_closing()
        return {
            "state": self._app_state.copy(),
            "server": None if has_left else get_local_addr(self.transport),
            "client": None if has_left else (self.peer, self._peer_port),
            "scheme": "https" if is_ssl(self.transport) else "http",
        }

    def default_header_lines(self) -> bytes:
        """The header lines that the server adds to every answer; it renews them once a second."""
        if self._default_headers is not self._server.default_headers:
            self._default_headers = self._server.default_headers
            self._default_lines = heads.header_lines(self._default_headers)
        return self._default_lines

    def pause_reading(self) -> None:
        """Stop reading from the client."""
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the client again, unless reading is held."""
        if self.read_paused and not self.is_held:
            self.read_paused = False
            self.transport.resume_reading()

    def hold_reading(self) -> None:
        """Stop reading until `is_held` is unset, even if an exchange asks for more of its body."""
        self.is_held = True
        self.pause_reading()

    def pause_writing(self) -> None:
        """Make writers wait for a slow client; abort after `WRITE_TIMEOUT` seconds."""
        self.drained = asyncio.Event()
        self._write_timer = self.loop.call_later(WRITE_TIMEOUT, self._cut)

    def _cut(self) -> None:
        reason = f"the client did not read its answers for {WRITE_TIMEOUT:g} s"
        events.emit(events.EDGE_CONNECTION_CUT, reason=reason)
        self.transport.abort()

    def resume_writing(self) -> None:
        """Let writers go on: the client has caught up or disconnected."""
        if self._write_timer:
            self._write_timer.cancel()
        if self.drained:
            self.drained.set()
            self.drained = None
