"""Bodies that are being read have limits of their own, and take no place from other requests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.harness import settings, until
from support.probe import actions, apply_probe
from support.servers import listening

from gateway.edge import admission, protocol
from gateway.edge.admission import Admission
from gateway.runtime import memory
from gateway.serve import server
from gateway.serve.worker import Worker

HEAD = b"POST /api/v1/probe/public HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = b'{"number": 7}'
HALF = HEAD + b"Content-Length: 100000\r\n\r\n{"
CLOSE = b"Connection: close\r\n"
WHOLE = HEAD + CLOSE + b"Content-Length: 13\r\n\r\n" + BODY
ATTACKER = "127.0.0.2"


class Gateway:
    """A worker on a socket, and connections to it from addresses of the loopback network."""

    def __init__(self, worker: Worker, address: tuple[str, int]) -> None:
        self.admission: Admission = worker.pipeline.admission
        self.address = address
        self._writers: list[asyncio.StreamWriter] = []

    async def send(self, data: bytes, source: str = "127.0.0.1") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(*self.address, local_addr=(source, 0))
        self._writers.append(writer)
        writer.write(data)
        await writer.drain()
        return reader

    async def go_on(self, data: bytes) -> None:
        """Send more on the newest connection."""
        self._writers[-1].write(data)
        await self._writers[-1].drain()

    async def half_sent(
        self, count: int, *, source: str = ATTACKER, data: bytes = HALF
    ) -> list[asyncio.StreamReader]:
        """Requests whose body stays incomplete, each sent when the one before is being read."""
        readers = []
        for _ in range(count):
            reading = min(self.admission.bodies + 1, self.admission._max_bodies)
            readers.append(await self.send(data, source))
            await self.reads(reading)
        return readers

    async def reads(self, bodies: int) -> None:
        await until(lambda: self.admission.bodies >= bodies)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def serving(database: str, **changes: str) -> AsyncIterator[Gateway]:
    await apply_probe(database)
    config = settings(database, **changes)
    worker = Worker(config, actions())
    async with listening(server.server(worker, config)) as listener:
        gateway = Gateway(worker, listener.getsockname())
        try:
            yield gateway
        finally:
            gateway.close()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes the connection."""
    async with asyncio.timeout(10):
        return await reader.read()


async def in_pieces(gateway: Gateway, source: str) -> bytes:
    """The answer to a request whose body comes after its head was seen."""
    reader = await gateway.send(WHOLE[: -len(BODY)] + BODY[:1], source)
    await asyncio.sleep(0.05)
    await gateway.go_on(BODY[1:])
    return await answer(reader)


@pytest.mark.parametrize("source", ["127.0.0.1", ATTACKER])
async def test_bodies_that_never_come_take_no_place_from_others(database: str, source: str) -> None:
    async with serving(database, max_in_flight="5", max_bodies="10") as gateway:
        await gateway.half_sent(30)
        assert (gateway.admission.in_flight, gateway.admission.bodies) == (0, 10)
        assert b" 200 OK\r\n" in await answer(await gateway.send(WHOLE, source))
        assert b" 200 OK\r\n" in await in_pieces(gateway, source)


async def test_bodies_above_the_number_end_the_oldest_of_the_client_with_the_most(
    database: str,
) -> None:
    async with serving(database, max_bodies="3") as gateway:
        [innocent] = await gateway.half_sent(1, source="127.0.0.1")
        first, second, third = await gateway.half_sent(3)
        text = await answer(first)
        assert b" 503 Service Unavailable\r\n" in text
        assert b"retry-after" in text.lower()
        assert b"Too many bodies are being read" in text
        assert not any(reader.at_eof() for reader in (innocent, second, third))


async def test_bodies_of_clients_behind_a_trusted_proxy_are_told_apart(database: str) -> None:
    def half(client: str) -> bytes:
        return HALF.replace(b"Host", f"X-Forwarded-For: {client}\r\nHost".encode())

    async with serving(database, max_bodies="3", trusted_proxies="127.0.0.0/8") as gateway:
        [innocent] = await gateway.half_sent(1, data=half("10.0.0.1"))
        first, *_ = await gateway.half_sent(3, data=half("10.0.0.2"))
        assert b" 503 " in await answer(first)
        assert not innocent.at_eof()


async def test_bodies_above_the_bytes_end_the_largest_of_the_client_with_the_most(
    database: str,
) -> None:
    large = HALF + b"x" * 40_000
    async with serving(database, max_body_bytes="100000") as gateway:
        [innocent] = await gateway.half_sent(1, source="127.0.0.1", data=large)
        await until(lambda: gateway.admission.body_bytes > 40_000)
        small, _ = await gateway.half_sent(2)
        first = await gateway.send(HALF + b"x" * 80_000, ATTACKER)
        assert b" 503 " in await answer(first)
        assert gateway.admission.body_bytes <= 100_000
        assert not any(reader.at_eof() for reader in (innocent, small))


async def test_bodies_are_counted_no_longer_when_clients_leave(database: str) -> None:
    async with serving(database) as gateway:
        await gateway.half_sent(5)
        gateway.close()
        await until(lambda: gateway.admission.bodies == 0)
        assert (gateway.admission.body_bytes, gateway.admission.in_flight) == (0, 0)
        assert not gateway.admission._clients


async def test_body_that_grows_steadily_has_a_deadline(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "BODY_WINDOW", 0.1)
    monkeypatch.setattr(protocol, "MIN_BODY_BYTES", 1)
    async with serving(database) as gateway:
        reader = await gateway.send(HALF)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof() and sent < 500:
                await gateway.go_on(b"x")
                sent += 1
                await asyncio.sleep(0.01)
        assert sent < 500


async def test_memory_is_given_back_after_a_flood_of_bodies(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trims: list[None] = []
    monkeypatch.setattr(admission, "TRIM_BYTES", 100_000)
    monkeypatch.setattr(admission, "TRIM_DELAY", 0.01)
    monkeypatch.setattr(memory, "trim", lambda: trims.append(None))
    async with serving(database) as gateway:
        await gateway.half_sent(3, data=HALF + b"x" * 50_000)
        await until(lambda: gateway.admission.body_bytes > 150_000)
        gateway.close()
        await until(lambda: bool(trims))
    assert len(trims) == 1
