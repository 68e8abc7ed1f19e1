"""The edge on a socket: malformed requests are refused, slow clients disconnected."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from support.harness import settings
from support.probe import actions, apply_probe
from support.servers import listening

from gateway.edge import protocol
from gateway.edge.http1 import Http1Exchange
from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.values import Request

GOOD = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
HOST = b"Host: x\r\n"
REFUSED_BY_MATCH = b'"status":"route-non-existent"'


@asynccontextmanager
async def worker(database: str, **changes: str) -> AsyncIterator[tuple[str, int]]:
    """A worker on a real socket; yields its address."""
    config = settings(database, **changes)
    async with listening(server.server(Worker(config, actions()), config)) as listener:
        yield listener.getsockname()


@pytest.fixture
async def address(database: str) -> AsyncIterator[tuple[str, int]]:
    await apply_probe(database)
    async with worker(database) as bound:
        yield bound


async def talk(address: tuple[str, int], *parts: bytes, close: bool = False) -> bytes:
    """Send these parts; all bytes that come back until the server closes the connection."""
    reader, writer = await asyncio.open_connection(*address)
    for part in parts:
        writer.write(part)
        await writer.drain()
    if close:
        writer.write_eof()
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


def close(request: bytes) -> bytes:
    """The request with `Connection: close`."""
    return request.replace(HOST, HOST + b"Connection: close\r\n")


HOSTS = (b"", b"a, b", b"u@x", b"x/y", b"x:abc", b"x:1:2", b"%00", b"<script>", b"[::1", b"x y")
REFUSED = {
    "no HTTP": b"hello\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "length and chunked": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "another coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "no coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\nabc",
    "chunked in 1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "not ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the path": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "RTSP": b"GET / RTSP/1.0\r\nHost: x\r\n\r\n",
    "two spaces before the target": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces after the target": b"GET /  HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "another authority": b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "another port": b"GET http://x:81/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "an authority with a user": b"GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "another scheme": b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    **{f"Host {host.decode()}": b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n" for host in HOSTS},
    **{
        f"two {name.decode()}": GOOD.replace(HOST, HOST + (name + b": a\r\n") * 2)
        for name in (b"Authorization", b"Content-Type", b"Idempotency-Key")
    },
    "a bad chunk": b"POST /api/v1/probe/echo HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED)
async def test_edge_malformed_or_ambiguous_request_is_refused_in_the_envelope(
    address: tuple[str, int], request_bytes: bytes
) -> None:
    head, _, body = (await talk(address, request_bytes)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head
    answer = orjson.loads(body)
    assert list(answer) == ["code", "status", "message", "request_id", "help"]
    assert answer["help"] == "/documentation/statuses#status.invalid-request"
    assert (answer["code"], answer["status"]) == (400, "invalid-request")


async def test_edge_names_no_help_without_documentation(database: str) -> None:
    async with worker(database, documentation="off") as address:
        _, _, body = (await talk(address, next(iter(REFUSED.values())))).partition(b"\r\n\r\n")
    assert list(orjson.loads(body)) == ["code", "status", "message", "request_id"]


TOO_LARGE = {
    "101 headers": (431, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 100 + b"\r\n"),
    "a large head": (
        431,
        b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"b" * protocol.MAX_HEAD + b"\r\n\r\n",
    ),
    "an endless header": (
        431,
        b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"b" * 2 * protocol.MAX_HEAD,
    ),
    "200 trailers in one read": (
        431,
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        + b"a: b\r\n" * 200
        + b"\r\n",
    ),
    "a long path": (414, b"GET /" + b"b" * protocol.MAX_TARGET + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "an endless path": (414, b"GET /" + b"b" * 2 * protocol.MAX_HEAD),
}


@pytest.mark.parametrize(("code", "request_bytes"), TOO_LARGE.values(), ids=TOO_LARGE)
async def test_edge_head_that_is_too_large_has_a_status_of_its_own(
    address: tuple[str, int], code: int, request_bytes: bytes
) -> None:
    head, _, body = (await talk(address, request_bytes)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % code)
    slug = {414: "uri-too-long", 431: "headers-too-large"}[code]
    answer = orjson.loads(body)
    assert (answer["code"], answer["status"]) == (code, slug)


@pytest.mark.parametrize(
    "host", [b"x", b"X.example.com:8000", b"a_b-c", b"127.0.0.1:80", b"[::1]:8000", b"[fe80::1]"]
)
async def test_edge_host_is_a_name_or_an_address(address: tuple[str, int], host: bytes) -> None:
    for target in (b"/nowhere", b"http://" + host.upper() + b"/nowhere"):
        request = close(GOOD).replace(b"/nowhere", target).replace(HOST, b"Host: %b\r\n" % host)
        assert b"route-non-existent" in await talk(address, request)


async def test_edge_request_after_empty_lines_or_in_parts_is_accepted(
    address: tuple[str, int],
) -> None:
    request = b"\r\n" + GOOD + b"\r\n" + close(GOOD)
    whole = await talk(address, request)
    parts = await talk(address, *(request[i : i + 5] for i in range(0, len(request), 5)))
    assert [whole.count(REFUSED_BY_MATCH), parts.count(REFUSED_BY_MATCH)] == [2, 2]


async def test_edge_out_of_memory_in_a_body_is_unavailable(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Http1Exchange, "feed_data", fail)
    half = BODY + b"Content-Length: 9\r\n\r\n{"
    head, _, body = (await talk(address, half)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert orjson.loads(body)["status"] == "service-unavailable"


async def test_edge_pipelined_requests_wait_as_bytes_not_as_objects(database: str) -> None:
    await apply_probe(database)
    config = settings(database)
    edge_server = server.server(Worker(config, actions()), config)
    connections: set[Any] = edge_server.server_state.connections
    most = 0
    async with listening(edge_server) as listener:
        flood = GOOD * 1000 + close(GOOD)
        answered = asyncio.create_task(talk(listener.getsockname(), flood))
        while not answered.done():
            await asyncio.sleep(0)
            waiting = [len(connection._waiting) for connection in connections]
            most = max([most, *waiting])
    assert answered.result().count(REFUSED_BY_MATCH) == 1001
    assert most <= 1


async def test_edge_lines_of_forwarded_for_are_joined_in_their_order(database: str) -> None:
    await apply_probe(database)
    config = settings(database, trusted_proxies="127.0.0.1,10.0.0.1")
    worker = Worker(config, actions())
    async with listening(server.server(worker, config)) as listener:
        lines = b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 10.0.0.1\r\n"
        seen: list[str] = []
        record = worker.app._observer.record

        def observe(request: Request, *rest: Any) -> None:
            seen.append(request.address)
            record(request, *rest)

        worker.app._observer = SimpleNamespace(record=observe)
        await talk(listener.getsockname(), close(GOOD).replace(HOST, HOST + lines))
    assert seen == ["192.0.2.7"]


async def test_edge_head_of_100_headers_in_many_parts_is_accepted(
    address: tuple[str, int],
) -> None:
    request = close(GOOD).replace(b"\r\n\r\n", b"\r\n" + b"a: b\r\n" * 98 + b"\r\n")
    answers = await talk(address, *(request[i : i + 7] for i in range(0, len(request), 7)))
    assert answers.startswith(b"HTTP/1.1 500 ")
    assert b"route-non-existent" in answers


async def test_edge_answer_before_a_malformed_request_is_still_sent(
    address: tuple[str, int],
) -> None:
    answers = await talk(address, GOOD + b"nonsense\r\n\r\n")
    earlier, refusal = answers.split(b"HTTP/1.1 ")[1:]
    assert b"route-non-existent" in earlier
    assert refusal.startswith(b"400 ")


async def test_edge_pipelined_requests_are_answered_in_order(address: tuple[str, int]) -> None:
    second = close(GOOD).replace(HOST, HOST + b"X-Request-Id: second\r\n")
    first = GOOD.replace(HOST, HOST + b"X-Request-Id: first\r\n")
    answers = await talk(address, first + second)
    assert answers.index(b'"first"') < answers.index(b'"second"')


@pytest.mark.parametrize("target", [b"*", b"//api", b"/a/../b", b"http://x/nowhere", b"/%00"])
async def test_edge_unusual_target_matches_no_route(
    address: tuple[str, int], target: bytes
) -> None:
    answers = await talk(address, close(GOOD.replace(b"/nowhere", target)))
    assert b"route-non-existent" in answers


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET / HTTP/1.1\r\nHo", id="half a head"),
        pytest.param(
            b"POST /api/v1/probe/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
            id="half a body",
        ),
    ],
)
async def test_edge_connection_that_sends_too_slowly_is_closed(
    address: tuple[str, int], sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.05)
    monkeypatch.setattr(protocol, "BODY_WINDOW", 0.05)
    assert await talk(address, sent) == b""


async def test_edge_head_timeout_is_not_extended_by_more_bytes(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.2)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\na: ")
    sent = 0
    async with asyncio.timeout(5):
        while not reader.at_eof() and sent < 400:
            writer.write(b"b")
            sent += 1
            try:
                async with asyncio.timeout(0.02):
                    assert await reader.read(1) == b""
            except TimeoutError:
                continue
            except ConnectionResetError:
                break
    writer.close()
    assert sent < 400


async def test_edge_serves_others_after_a_client_disconnects_in_a_body(
    address: tuple[str, int],
) -> None:
    with socket.create_connection(address) as client:
        client.sendall(b"POST /api/v1/probe/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    assert b"route-non-existent" in await talk(address, close(GOOD))


BODY = b"POST /api/v1/probe/public HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def test_edge_request_for_an_upgrade_keeps_its_body(address: tuple[str, int]) -> None:
    upgrade = BODY + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    body = b'{"number": 7}'
    head = upgrade + b"Content-Length: %d\r\n\r\n" % len(body)
    answers = await talk(address, head, body, close(GOOD))
    assert answers.count(b"HTTP/1.1 ") == 2
    assert b'"data":{"number":7}' in answers


async def test_edge_body_of_an_upgrade_is_never_the_next_request(address: tuple[str, int]) -> None:
    hidden = GOOD.replace(b"/nowhere", b"/hidden")
    head = BODY + b"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: %d\r\n\r\n"
    answers = await talk(address, head % len(hidden), hidden, close(GOOD))
    assert re.findall(rb"HTTP/1.1 (\d+) ", answers) == [b"400", b"500"]
    assert b"invalid-encoded-params" in answers


@pytest.mark.parametrize("target", [b"GET http://x", b"CONNECT x:1", b"GET http://x:99999/"])
async def test_edge_target_without_a_path_is_refused_after_the_earlier_answer(
    address: tuple[str, int], target: bytes
) -> None:
    odd = target + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await talk(address, odd)).startswith(b"HTTP/1.1 400 ")
    earlier, refusal = (await talk(address, GOOD + odd)).split(b"HTTP/1.1 ")[1:]
    assert b"route-non-existent" in earlier
    assert refusal.startswith(b"400 ")


async def test_edge_malformed_body_does_not_stop_the_earlier_answer(
    address: tuple[str, int],
) -> None:
    broken = BODY + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    answers = await talk(address, GOOD + broken)
    earlier, refusal = answers.split(b"HTTP/1.1 ")[1:]
    assert b"route-non-existent" in earlier
    assert refusal.startswith(b"400 ")


async def test_edge_client_that_disconnects_in_a_body_raises_no_error(
    address: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(address) as client:
        client.sendall(BODY + b"Content-Length: 9\r\n\r\n{")
    for _ in range(5):
        await talk(address, close(GOOD))
    assert not [record for record in caplog.records if record.exc_info]
