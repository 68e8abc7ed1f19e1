"""A request and the way to answer it, under our own edge or any ASGI server."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol, TypeAlias

from gateway.edge import addresses
from gateway.values import ClientDisconnectedError

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Exchange(Protocol):
    """What the gate serves: an `Http1Exchange` of our own edge, or an `AsgiExchange`.

    `path` and `query` are raw bytes. Where a header came twice, `headers` has the last.
    """

    @property
    def method(self) -> str:
        """The HTTP method, in the case in which it was sent."""

    @property
    def path(self) -> bytes:
        """The path as it was sent, not unquoted."""

    @property
    def query(self) -> bytes:
        """The query string as it was sent, without the question mark."""

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Header values by lower-case name."""

    @property
    def peer(self) -> str:
        """The IP address of the other end of the connection."""

    def take_body(self) -> bytes | None:
        """The complete body, once; None if it has to be read with `receive`."""

    def close_after_answer(self) -> None:
        """Close the connection after the answer, if the server lets an application do that."""

    def is_disconnected(self) -> bool:
        """Whether the server knows that the client has disconnected."""

    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        """Call this if the client disconnects before its answer; None ends that."""

    async def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Send the whole answer.

        `lines` are its headers, valid and with the body's length, as `heads.header_lines` writes
        them.
        """

    @property
    def scope(self) -> Scope:
        """The ASGI scope, for an ASGI application that answers instead."""

    @property
    def receive(self) -> Receive:
        """ASGI's `receive`: the next part of the body, or `http.disconnect`."""

    @property
    def send(self) -> Send:
        """ASGI's `send`."""


class AsgiExchange:
    """A request from an ASGI server."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = addresses.by_name([*scope["headers"]])
        client = scope.get("client")
        self.peer = addresses.plain(client[0]) if client else addresses.UNKNOWN

    def take_body(self) -> bytes | None:
        """None: ASGI has the body only behind `receive`."""
        return None

    def close_after_answer(self) -> None:
        """Nothing: ASGI leaves the connection to the server."""

    def is_disconnected(self) -> bool:
        """False: ASGI reports a disconnect only through `receive`."""
        return False

    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        """Nothing: ASGI reports a disconnect only through `receive`."""

    async def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Send the whole answer as two ASGI messages."""
        headers = [line.split(b": ", 1) for line in lines.split(b"\r\n")[:-1]]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


async def receive_chunk(exchange: Exchange) -> tuple[bytes, bool]:
    """The next part of a body, and whether more follows. Raises ClientDisconnectedError."""
    message = await exchange.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnectedError
    return message.get("body", b""), message.get("more_body", False)
