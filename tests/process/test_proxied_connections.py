"""The PROXY protocol on a socket: whose connections must have a header, and what it changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.command import running, wait_until
from support.harness import logged, settings
from support.probe import actions, apply_probe
from support.servers import listening

from gateway.edge import protocol
from gateway.runtime import events
from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.settings import SettingError

GET = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n"
LAST = GET + b"Connection: close\r\n\r\n"
TEXT = b"PROXY TCP4 203.0.113.7 10.0.0.1 40000 443\r\n"
BINARY = bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c cb007107 0a000001 9c40 01bb")
LOCAL = bytes.fromhex("0d0a0d0a000d0a515549540a 20 00 0000")
CLIENT = "203.0.113.7"


@asynccontextmanager
async def worker(database: str, **changes: str) -> AsyncIterator[tuple[Worker, Any]]:
    options = {"proxy_protocol": "on", "trusted_proxies": "127.0.0.1, 10.0.0.0/8", **changes}
    config = settings(database, **options)
    running = Worker(config, actions())
    async with listening(server.server(running, config)) as listener:
        yield running, listener.getsockname()


@pytest.fixture
async def addresses(database: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The clients' addresses of the requests of a worker, in their order."""
    await apply_probe(database)
    seen: list[str] = []

    def record(_: object, request: Any, *__: object) -> None:
        seen.append(request.address)

    monkeypatch.setattr("gateway.serve.request_log.RequestLog.record", record)
    return seen


async def talk(bound: Any, *parts: bytes, source: str = "127.0.0.1") -> bytes:
    """Send these parts; all bytes that come back until the server closes the connection."""
    reader, writer = await asyncio.open_connection(*bound, local_addr=(source, 0))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def statuses(answer: bytes) -> list[str]:
    """The statuses of the answers."""
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 ")[1:]]
    return [orjson.loads(body)["status"] for body in bodies]


@pytest.mark.parametrize(
    ("parts", "seen"),
    [
        ((TEXT + GET + b"\r\n", LAST), [CLIENT, CLIENT]),
        ((BINARY + LAST,), [CLIENT]),
        ((BINARY, LAST), [CLIENT]),
        ((BINARY[:7], BINARY[7:20], BINARY[20:] + LAST[:9], LAST[9:]), [CLIENT]),
        ((LOCAL + LAST,), ["127.0.0.1"]),
        ((b"PROXY UNKNOWN\r\n" + LAST,), ["127.0.0.1"]),
        # The proxy of the header is trusted too: its client is the last of X-Forwarded-For.
        (
            (
                b"PROXY TCP4 10.1.1.1 10.0.0.1 1 2\r\n" + GET,
                b"X-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n",
            ),
            ["1.2.3.4"],
        ),
        (
            (TEXT + GET + b"X-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n",),
            [CLIENT],
        ),
    ],
)
async def test_proxy_header_gives_the_address_of_its_connection(
    database: str, addresses: list[str], parts: tuple[bytes, ...], seen: list[str]
) -> None:
    async with worker(database) as (_, bound):
        answer = await talk(bound, *parts)
    assert statuses(answer) == ["route-non-existent"] * len(seen)
    assert addresses == seen


@pytest.mark.parametrize("first", [LAST, b"PROXY TCP4 x y 1 2\r\n" + LAST, BINARY[:12] + bytes(9)])
async def test_proxy_connection_without_a_valid_header_is_closed(
    database: str, addresses: list[str], first: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(database) as (_, bound):
        assert await talk(bound, first) == b""
    [fields] = logged(caplog, events.EDGE_PROXY_REFUSED)
    assert fields["peer"] == "127.0.0.1"
    assert addresses == []


async def test_proxy_header_of_a_peer_that_is_not_trusted_is_a_malformed_request(
    database: str, addresses: list[str]
) -> None:
    async with worker(database) as (_, bound):
        assert statuses(await talk(bound, TEXT + LAST, source="127.0.0.2")) == ["invalid-request"]
        assert statuses(await talk(bound, BINARY + LAST, source="127.0.0.2")) == ["invalid-request"]
        assert statuses(await talk(bound, LAST, source="127.0.0.2")) == ["route-non-existent"]
    assert addresses == ["127.0.0.2"]


async def test_proxy_header_is_a_malformed_request_if_the_setting_is_off(
    database: str, addresses: list[str]
) -> None:
    async with worker(database, proxy_protocol="off") as (_, bound):
        assert statuses(await talk(bound, TEXT + LAST)) == ["invalid-request"]
    assert addresses == []


async def test_proxy_header_that_does_not_come_is_not_waited_for_for_ever(
    database: str,
    addresses: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.1)
    caplog.set_level("INFO", "gateway")
    async with worker(database) as (_, bound):
        assert await talk(bound, BINARY[:20]) == b""
        assert await talk(bound, BINARY, GET) == b""
    assert len(logged(caplog, events.EDGE_CONNECTION_CUT)) == 2
    assert addresses == []


async def test_proxy_connections_end_with_the_server(database: str, addresses: list[str]) -> None:
    async with worker(database) as (_, bound):
        reader, writer = await asyncio.open_connection(*bound)
        writer.write(BINARY + GET + b"\r\n")
        assert await reader.readuntil(b"}")
        waiting, other = await asyncio.open_connection(*bound)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
        assert await waiting.read() == b""
    writer.close()
    other.close()
    assert addresses == [CLIENT]


def test_proxy_header_is_read_by_the_command_too(database: str, tmp_path: Path) -> None:
    options = {
        "GATEWAY_DATABASE_URL": database,
        "GATEWAY_PROXY_PROTOCOL": "on",
        "GATEWAY_TRUSTED_PROXIES": "127.0.0.1",
    }
    with running("serve", "--host", "::", cwd=tmp_path, **options) as command:
        port = int(command.url().rpartition(":")[2].rstrip("/"))
        answer = asyncio.run(talk(("127.0.0.1", port), BINARY[:16], BINARY[16:] + LAST))
        assert statuses(answer) == ["route-non-existent"]
        direct = asyncio.run(talk(("127.0.0.1", port), LAST, source="127.0.0.2"))
        assert statuses(direct) == ["route-non-existent"]
        # The access log is written a little later.
        wait_until(lambda: len(command.access_lines()) == 2)
        assert [line["address"] for line in command.access_lines()] == [CLIENT, "127.0.0.2"]


def test_proxy_protocol_needs_trusted_proxies() -> None:
    with pytest.raises(SettingError, match="name the proxies in GATEWAY_TRUSTED_PROXIES"):
        settings("postgresql://h/db", proxy_protocol="on")


async def test_forwarded_header_without_trusted_proxies_is_reported_once(
    database: str, addresses: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    forwarded = GET + b"X-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n"
    async with worker(database, proxy_protocol="off", trusted_proxies="") as (_, bound):
        await talk(bound, LAST)
        assert logged(caplog, events.EDGE_PROXY_UNTRUSTED) == []
        await talk(bound, forwarded)
        await talk(bound, forwarded)
    assert logged(caplog, events.EDGE_PROXY_UNTRUSTED) == [{"peer": "127.0.0.1"}]
    assert addresses == ["127.0.0.1"] * 3
