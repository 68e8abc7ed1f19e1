"""The gate under the edge, without ASGI, beside the same gate under uvicorn's protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import harness
import orjson
import pytest
from support.servers import listening, plain_server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import gate
from gateway.edge.protocol import Edge

ID = b"Host: x\r\nX-Request-Id: r1\r\n"
CLOSE = b"Connection: close\r\n"
HEAD = (
    b"POST " + harness.PATH.encode() + b" HTTP/1.1\r\n" + ID + b"Content-Type: application/json\r\n"
)
BODY = harness.request_body()
LARGE = orjson.dumps({"token": harness.TOKEN, **harness.BODY, "notes": "n" * 300_000})
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
NOWHERE = b"GET /nowhere HTTP/1.1\r\n" + ID
WHOLE = HEAD + LENGTH + b"\r\n" + BODY

EXCHANGES: dict[str, list[bytes]] = {
    "an action": [HEAD + LENGTH + CLOSE + b"\r\n" + BODY],
    "two requests, one after the other": [WHOLE, HEAD + LENGTH + CLOSE + b"\r\n" + BODY],
    "pipelined": [WHOLE * 3 + NOWHERE + CLOSE + b"\r\n"],
    "a large body, and another request": [
        HEAD + b"Content-Length: %d\r\n\r\n" % len(LARGE) + LARGE,
        HEAD + LENGTH + CLOSE + b"\r\n" + BODY,
    ],
    "a body in pieces": [HEAD + LENGTH + CLOSE + b"\r\n", BODY[:100], BODY[100:]],
    "chunks": [
        HEAD + b"Transfer-Encoding: chunked\r\n" + CLOSE + b"\r\n",
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    ],
    "1.0": [HEAD.replace(b"1.1", b"1.0") + LENGTH + b"\r\n" + BODY],
    "a client that expects 100": [
        HEAD + LENGTH + CLOSE + b"Expect: 100-continue\r\n\r\n",
        BODY,
    ],
    "a client that expects 100 and gets none": [
        NOWHERE.replace(b"GET", b"POST")
        + CLOSE
        + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    ],
    "too large, as announced": [HEAD + b"Content-Length: 9999999\r\n" + CLOSE + b"\r\n"],
    "no route": [NOWHERE + CLOSE + b"\r\n"],
    "HEAD": [NOWHERE.replace(b"GET", b"HEAD") + CLOSE + b"\r\n"],
    "OPTIONS": [HEAD.replace(b"POST", b"OPTIONS") + CLOSE + b"\r\n"],
    "no params": [HEAD + b"Content-Length: 0\r\n" + CLOSE + b"\r\n"],
    "a page of the gateway's own": [b"GET /-/live HTTP/1.1\r\n" + ID + CLOSE + b"\r\n"],
    "a page that does not exist": [b"GET /-/nothing HTTP/1.1\r\n" + ID + CLOSE + b"\r\n"],
}


@asynccontextmanager
async def connected(
    protocol: Any,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a gate under this protocol."""
    server = plain_server(harness.worker().app, protocol, proxy_headers=False)
    async with listening(server) as listener:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        yield reader, writer
        writer.close()


async def answers(protocol: Any, parts: list[bytes]) -> bytes:
    """Send these parts on one connection; all bytes that come back."""
    async with connected(protocol) as (reader, writer), asyncio.timeout(10):
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01 if len(parts) > 1 else 0)
        return await reader.read()


@pytest.mark.parametrize("parts", EXCHANGES.values(), ids=EXCHANGES)
async def test_edge_gate_answers_like_under_uvicorn_s_protocol(parts: list[bytes]) -> None:
    ours = await answers(Edge, parts)
    assert ours.count(b"x-request-id: r1\r\n") >= int(b"/-/live" not in parts[0])
    assert ours == await answers(HttpToolsProtocol, parts)


async def test_edge_gate_is_served_without_asgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the comparison above would compare ASGI with itself."""

    def refuse(*_: object) -> None:
        raise AssertionError("this came through ASGI")

    monkeypatch.setattr(gate, "AsgiExchange", refuse)
    assert (await answers(Edge, EXCHANGES["an action"])).startswith(b"HTTP/1.1 200 OK")


async def test_edge_gate_slow_reader_gets_all_its_answers_in_order() -> None:
    """Answers that fill every buffer on the way wait until the client reads."""
    large = HEAD + b"Content-Length: %d\r\n\r\n" % len(LARGE) + LARGE
    last = NOWHERE + CLOSE + b"\r\n"
    async with connected(Edge) as (reader, writer), asyncio.timeout(20):
        writer.write(large * 40 + last)
        await asyncio.sleep(0.3)
        received = (await reader.read()).split(b"HTTP/1.1 ")[1:]
    assert [len(answer) > len(LARGE) for answer in received] == [True] * 40 + [False]
