"""One request and the place for its answer, whichever server brought it."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Protocol, TypeAlias

from gateway import statuses
from gateway.edge import addresses
from gateway.values import ClientLeftError, Rejection

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]


class Exchange(Protocol):
    """What the gate is given: by our own edge as it is, by any other server through ASGI.

    `path` and `query` are raw bytes, `peer` is the other end's address; of headers that came
    twice `headers` has the last.
    """

    @property
    def method(self) -> str:
        """Such as POST."""

    @property
    def path(self) -> bytes:
        """As it was sent."""

    @property
    def query(self) -> bytes:
        """What stands behind the question mark."""

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """By lower-case name."""

    @property
    def peer(self) -> str:
        """The address of the other end."""

    def whole_body(self) -> bytes | None:
        """The body, if all of it is here; it can be taken once."""

    def has_left(self) -> bool:
        """Whether nobody waits for the answer any more, as far as the server knows."""

    async def answer(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send the whole answer; the headers are sound and give the body's length."""

    @property
    def scope(self) -> Scope:
        """ASGI's, for an application that is to answer instead."""

    @property
    def receive(self) -> Receive:
        """ASGI's: the next piece of the body, or that the client has left."""

    @property
    def send(self) -> Send:
        """ASGI's."""


class AsgiExchange:
    """A request that came through ASGI."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.peer: str = client[0] if (client := scope.get("client")) else addresses.UNKNOWN

    def whole_body(self) -> bytes | None:
        """Unknown: ASGI tells only those who ask."""
        return None

    def has_left(self) -> bool:
        """Unknown likewise."""
        return False

    async def answer(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send the whole answer."""
        start = {"type": "http.response.start", "status": status, "headers": list(headers)}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": body})


async def read_body(exchange: Exchange, limit: int) -> bytes:
    """The whole body, counted while it is read.

    Raises Rejection (payload-too-large) and ClientLeftError.
    """
    body = exchange.whole_body()
    if body is None:
        announced = exchange.headers.get(b"content-length", b"0")
        # Refused before it is sent, or read: a caller may wait to be told.
        if announced.isdigit() and int(announced[:20]) > limit:
            raise Rejection(statuses.PAYLOAD_TOO_LARGE)
        return await _read_pieces(exchange, limit)
    if len(body) > limit:
        raise Rejection(statuses.PAYLOAD_TOO_LARGE)
    return body


async def _read_pieces(exchange: Exchange, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise Rejection(statuses.PAYLOAD_TOO_LARGE)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
