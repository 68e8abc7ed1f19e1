"""Services on real sockets that behave as a test says, and the manifest of a service at them."""

import asyncio
import base64
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import orjson

from gateway.manifest.check import Desired, check
from gateway.upstreams.http.service import HttpService
from support.harness import Client, serving
from support.manifests import applied

KEY = b"24 bytes that are secret"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
VARIABLE = "TOURS_SECRET"
"""The environment variable of the service's secret."""

STATUSES = {"tour-full": {"http": 409, "meaning": "No place is left."}}
USUAL = {"method": "POST", "deployed": True, "auth": ["session"], "statuses": STATUSES}
PARAMS = {"properties": {"city": {"type": "string"}, "id": {"type": "integer"}}}


class Arrival(NamedTuple):
    """A request that a service has read to its end."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    def verify(self) -> None:
        """Check the signature as Standard Webhooks says."""
        content = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode()
        digest = hmac.new(KEY, content + self.body, hashlib.sha256).digest()
        assert self.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


Behaviour: TypeAlias = Callable[[Arrival, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request; a connection that it does not close is read again."""


class Service:
    """A server at `url`; `arrivals` are the requests that it has read."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behaviour = behaviour
        self._tls = tls
        self.arrivals: list[Arrival] = []
        self.connections = 0
        self.lost = 0
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Close the port and reset every connection, as the end of a process does."""
        if self._server:
            self._server.close()
            self._server = None
        for writer in [*self._writers]:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            ahead = b""
            while not writer.is_closing():
                arrival = await _read(reader, ahead)
                self.arrivals.append(arrival)
                answering = asyncio.ensure_future(self.behaviour(arrival, writer))
                gone = asyncio.ensure_future(reader.read(1))
                await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
                self.lost += not answering.done()
                answering.cancel()
                gone.cancel()
                _, byte = await asyncio.gather(answering, gone, return_exceptions=True)
                ahead = byte if isinstance(byte, bytes) else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


async def _read(reader: asyncio.StreamReader, ahead: bytes) -> Arrival:
    head = (ahead + await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    method, path, _ = first.split(" ")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Arrival(method, path, headers, body)


def response(
    status: int = 200, body: bytes | object = None, headers: str = "", *, length: int | None = None
) -> bytes:
    """An answer; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    size = len(content) if length is None else length
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {size}\r\n{headers}\r\n"
    return head.encode() + content


def answers(*parts: bytes, then: str = "keep", pause: float = 0.0) -> Behaviour:
    """Write these parts, then `keep`, `close` or `reset` the connection, or `hang`."""

    async def behave(_: Arrival, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        if then == "hang":
            await asyncio.sleep(60)
        elif then == "close":
            writer.close()
        elif then == "reset":
            await asyncio.sleep(0.01)  # so that what was written arrives
            writer.transport.abort()

    return behave


def says(data: object = None) -> Behaviour:
    """Answer a call as the contract says."""
    return answers(response(200, {"data": data}))


@asynccontextmanager
async def running(*behaviours: Behaviour) -> AsyncIterator[list[Service]]:
    """A service for each behaviour, for the length of the block."""
    services = [Service(behaviour) for behaviour in behaviours]
    for service in services:
        await service.start()
    try:
        yield services
    finally:
        for service in services:
            await service.stop()


def manifest(endpoints: Sequence[str], **changes: Any) -> dict[str, Any]:
    """The manifest of the service `tours` at these endpoints, with routes of each kind."""
    service = {
        "kind": "http",
        "deployed": True,
        "title": "Tours",
        "endpoints": list(endpoints),
        "secret": f"env:{VARIABLE}",
        "timeout": "500ms",
        **changes,
    }
    route = {**USUAL, "params": PARAMS}
    return {
        "version": 1,
        "namespace": "tours",
        "services": {"tours": service},
        "routes": {
            "tours.book": {**route, "title": "Book", "idempotency": "optional"},
            "tours.show": {**route, "title": "Show", "method": "GET", "path": "/tours/{id:int}"},
            "tours.public": {**route, "title": "Public", "auth": "public"},
            "tours.secret": {**route, "title": "Secret", "sensitive_params": True},
            "tours.machine": {**route, "title": "Machine", "auth": ["application"]},
            "tours.quick": {**route, "title": "Quick", "timeout": "200ms"},
            "tours.patient": {**route, "title": "Patient", "timeout": "30s"},
        },
    }


def desired(folder: Path, endpoints: Sequence[str], **changes: Any) -> Desired:
    """The desired state of that manifest."""
    file = folder / "tours.yaml"
    file.write_bytes(orjson.dumps(manifest(endpoints, **changes)))
    [state] = check(file)
    return state


@asynccontextmanager
async def serving_tours(
    database: str, tokens: dict[str, str], state: Desired, **changes: str
) -> AsyncIterator[Client]:
    """A client of a worker that serves the demo and the service."""
    await applied(database, state)
    async with serving(database, tokens, actions=None, **changes) as client:
        yield client


def http_service(client: Client, name: str = "tours") -> HttpService:
    """The service of a client's worker."""
    table = client.worker.registry.current
    assert table
    action = client.worker.http.action(table.services[name])
    assert isinstance(action, HttpService)
    return action
