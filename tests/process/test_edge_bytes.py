"""The edge's protocol beside uvicorn's: the same bytes in, the same bytes out.

Each exchange runs on one connection to a plain ASGI application, once under each protocol.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.harness import logged, until
from support.servers import listening, plain_server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.edge import channel
from gateway.edge.protocol import Edge
from gateway.runtime import events

Message = dict[str, Any]
BIG = b"x" * 3_000_000
PLAIN = [(b"content-type", b"text/plain")]

seen: list[Any] = []
"""The scopes and bodies that the application received, which must be the same too."""


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body, more = body + message["body"], message["more_body"]
    return body


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(body)).encode()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer as `ANSWERS` has it for the path."""
    headers = sorted(scope["headers"])
    seen.append({**{k: scope[k] for k in sorted(scope) if k != "client"}, "headers": headers})
    seen[-1]["server"] = seen[-1]["server"][0]
    await ANSWERS[scope["path"]](receive, send)


async def _start(send: Any, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    message = {"type": "http.response.start", "status": status, "headers": [*PLAIN, *headers]}
    await send(message)


async def _echo(receive: Any, send: Any) -> None:
    body = await _body(receive)
    seen.append(body)
    await _start(send, 200, _length(body))
    await send({"type": "http.response.body", "body": body})


async def _in_pieces(_: Any, send: Any) -> None:
    await _start(send)
    for piece in (b"one", b"", b"two"):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body"})


async def _in_pieces_of_known_length(_: Any, send: Any) -> None:
    await _start(send, 200, (b"Content-Length", b"6"))
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"two"})


async def _empty(_: Any, send: Any) -> None:
    await _start(send, 204)
    await send({"type": "http.response.body"})


async def _unknown_status(_: Any, send: Any) -> None:
    await _start(send, 599, _length(b""))
    await send({"type": "http.response.body"})


async def _closes(_: Any, send: Any) -> None:
    await _start(send, 200, _length(b""), (b"connection", b"close"))
    await send({"type": "http.response.body"})


async def _without_reading(_: Any, send: Any) -> None:
    await _start(send, 413, _length(b""))
    await send({"type": "http.response.body"})


async def _big(_: Any, send: Any) -> None:
    await _start(send)
    for _ in range(3):
        await send({"type": "http.response.body", "body": BIG, "more_body": True})
    await send({"type": "http.response.body"})
    seen.append("all sent")


async def _too_short(_: Any, send: Any) -> None:
    await _start(send, 200, (b"content-length", b"5"))
    await send({"type": "http.response.body", "body": b"abc"})


async def _too_long(_: Any, send: Any) -> None:
    await _start(send, 200, (b"content-length", b"1"))
    await send({"type": "http.response.body", "body": b"abc"})


async def _raises(_: Any, __: Any) -> None:
    raise RuntimeError("no answer")


async def _no_answer(_: Any, __: Any) -> None:
    return


async def _bad_header(_: Any, send: Any) -> None:
    await _start(send, 200, (b"x-a", b"a\r\nb: c"))
    await send({"type": "http.response.body"})


async def _late(receive: Any, send: Any) -> None:
    """Answer only after the client has disconnected."""
    await _body(receive)
    assert (await receive())["type"] == "http.disconnect"
    seen.append("disconnected")
    await _start(send)
    await send({"type": "http.response.body"})


ANSWERS: dict[str, Callable[[Any, Any], Awaitable[None]]] = {
    "/echo": _echo,
    "/ą b": _echo,
    "/pieces": _in_pieces,
    "/known": _in_pieces_of_known_length,
    "/empty": _empty,
    "/strange": _unknown_status,
    "/closes": _closes,
    "/unread": _without_reading,
    "/big": _big,
    "/raises": _raises,
    "/nothing": _no_answer,
    "/bad": _bad_header,
    "/short": _too_short,
    "/long": _too_long,
    "/waits": _late,
}
HOST = b" HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n\r\n"


def ask(target: bytes, body: bytes = b"", last: bytes = CLOSE) -> bytes:
    return b"POST " + target + HOST + b"Content-Length: %d\r\n" % len(body) + last + body


CHUNKED = b"POST /echo" + HOST + b"Transfer-Encoding: chunked\r\n" + CLOSE
EXCHANGES: dict[str, list[bytes]] = {
    "a body": [ask(b"/echo", b"abc")],
    "no body": [b"GET /echo" + HOST + CLOSE],
    "byte by byte": [bytes([byte]) for byte in ask(b"/echo?a=b", b"abc")],
    "a query and escapes": [ask(b"/%C4%85%20b?x=%20&y", b"abc")],
    "an absolute target": [ask(b"http://x/echo?a", b"abc")],
    "headers of any case, and twice": [
        ask(b"/echo", b"", b"X-A: 1\r\nx-a:  2 \r\nX-Empty:\r\n" + CLOSE)
    ],
    "chunks": [CHUNKED + b"3\r\nabc\r\n4;a=b\r\ndefg\r\n0\r\n\r\n"],
    "chunks in pieces": [CHUNKED, b"3\r\nab", b"c\r\n0", b"\r\n\r\n"],
    "pipelined": [ask(b"/echo", b"one", b"\r\n") * 3 + ask(b"/echo", b"last")],
    "one after the other": [ask(b"/echo", b"one", b"\r\n"), ask(b"/echo", b"two")],
    "requests after a close": [ask(b"/echo", b"one") + ask(b"/echo", b"two")],
    "1.0": [b"GET /echo HTTP/1.0\r\nHost: x\r\n\r\n"],
    "1.0 with keep-alive": [b"GET /echo HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"],
    "HEAD": [b"HEAD /known" + HOST + CLOSE],
    "HEAD of unknown length": [b"HEAD /pieces" + HOST + CLOSE],
    "an answer in pieces": [ask(b"/pieces")],
    "an answer in pieces of known length": [ask(b"/known")],
    "no content": [ask(b"/empty")],
    "an unknown status": [ask(b"/strange")],
    "an answer that closes": [ask(b"/closes", b"", b"\r\n") + ask(b"/echo")],
    "a body that the application does not read": [
        ask(b"/unread", b"abc" * 50_000, b"\r\n"),
        ask(b"/echo", b"next"),
    ],
    "a large body": [ask(b"/echo", BIG)],
    "a large answer": [ask(b"/big")],
    "an application that raises": [ask(b"/raises")],
    "an application that does not answer": [ask(b"/nothing")],
    "a client that expects 100": [
        ask(b"/echo", b"", b"Expect: 100-continue\r\n\r\n"),
        ask(b"/echo", b"next"),
    ],
    "a client that expects 100 and gets none": [
        b"POST /unread" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n" + CLOSE + b"abc"
    ],
}


@asynccontextmanager
async def serving(protocol: Any, **options: Any) -> AsyncIterator[Any]:
    """The application on a real socket; yields its address."""
    seen.clear()
    async with listening(plain_server(application, protocol, **options)) as listener:
        yield listener.getsockname()


async def under(
    protocol: Any, parts: list[bytes], pause: float = 0.002, **options: Any
) -> tuple[bytes, list[Any]]:
    """The bytes answered on one connection, and what the application received."""
    async with serving(protocol, **options) as address:
        answers = await _talk(address, parts, pause)
    return answers, [*seen]


async def _talk(address: Any, parts: list[bytes], pause: float = 0.002) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(pause if len(parts) > 1 else 0)
    async with asyncio.timeout(10):
        answers = await reader.read()
    writer.close()
    return answers


@pytest.mark.parametrize("parts", EXCHANGES.values(), ids=EXCHANGES)
async def test_edge_answers_like_uvicorn_s_protocol(
    parts: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    ours = await under(Edge, parts)
    theirs = await under(HttpToolsProtocol, parts)
    assert ours == theirs
    assert re.match(rb"HTTP/1.1 \d{3} ", ours[0])


async def test_edge_trailers_do_not_become_headers_of_the_request() -> None:
    trailed = CHUNKED + b"3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n"
    answers, received = await under(Edge, [trailed])
    assert answers.endswith(b"abc")
    assert all(name != b"x-late" for name, _ in received[0]["headers"])


async def test_edge_trailer_without_end_is_refused() -> None:
    answers, _ = await under(Edge, [CHUNKED + b"0\r\n", b"a: " + b"b" * 40_000, b"b" * 40_000])
    assert answers.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("target", [b"/short", b"/long", b"/bad"])
async def test_edge_answer_that_cannot_be_sent_becomes_a_whole_500(
    target: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    answers, _ = await under(Edge, [ask(target)])
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"500"]
    assert answers.endswith(b"Internal Server Error")


async def test_edge_application_learns_that_the_client_disconnected() -> None:
    async with serving(Edge) as address:
        _, writer = await asyncio.open_connection(*address)
        writer.write(ask(b"/waits", b"abc"))
        await until(lambda: seen)
        writer.close()
        await until(lambda: seen[-1] == "disconnected")


async def test_edge_idle_connection_is_closed_even_after_an_empty_line() -> None:
    parts = [ask(b"/echo", b"abc", b"\r\n"), b"\r\n"]
    answers, _ = await under(Edge, parts, timeout_keep_alive=0.05)
    assert answers.endswith(b"abc")


async def test_edge_busy_connection_outlives_the_idle_timeout() -> None:
    parts = [ask(b"/echo", b"abc", b"\r\n")] * 12
    answers, _ = await under(Edge, parts, pause=0.1, timeout_keep_alive=1)
    assert answers.count(b"HTTP/1.1 200 ") == 12


async def test_edge_client_that_does_not_read_pauses_only_its_own_answer() -> None:
    async with serving(Edge) as address:
        reader, writer = await asyncio.open_connection(*address, limit=1024)
        writer.write(ask(b"/big"))
        await until(lambda: seen)
        assert (await _talk(address, [ask(b"/echo", b"abc")])).endswith(b"abc")
        assert "all sent" not in seen
        answers = await reader.read()
        assert "all sent" in seen
        assert answers.count(b"x") >= 3 * len(BIG)
        writer.close()


async def test_edge_finishes_a_begun_request_when_the_server_stops() -> None:
    async with serving(Edge) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /echo" + HOST + b"Content-Length: 3\r\n\r\nab")
        await until(lambda: seen)
        stopping = asyncio.get_running_loop().call_later(0.05, writer.write, b"c")
    assert (await reader.read()).endswith(b"abc")
    assert not stopping.cancelled()
    writer.close()


async def test_edge_closes_after_an_answer_that_did_not_wait_for_the_body() -> None:
    head = b"POST /unread" + HOST + b"Expect: 100-continue\r\nContent-Length: 20\r\n\r\n"
    async with serving(Edge) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(head)
        # Read before the next part is sent: a connection that is reset keeps no answer.
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.write(ask(b"/echo"))
        with contextlib.suppress(ConnectionResetError):
            answer += await reader.read()
        writer.close()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer


async def test_edge_reads_no_more_while_requests_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer would otherwise bring in as many requests as fit into a read."""
    one, waiting, enqueue = b"GET /echo" + HOST + b"\r\n", [0], Edge.enqueue

    def counted(self: Edge, exchange: Any) -> None:
        enqueue(self, exchange)
        waiting.append(len(self._waiting))

    monkeypatch.setattr(Edge, "enqueue", counted)
    async with serving(Edge) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(one * 20_000 + b"GET /echo" + HOST + CLOSE)
        async with asyncio.timeout(30):
            answers = await reader.read()
        writer.close()
    assert answers.count(b"HTTP/1.1 200") == 20_001
    # Never more at once than fit into one read.
    assert max(waiting) <= 2**18 // len(one)


async def test_edge_client_that_never_reads_is_disconnected(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It would hold a place among the requests in flight without end."""
    caplog.set_level(logging.INFO, "gateway")
    monkeypatch.setattr(channel, "WRITE_TIMEOUT", 0.2)
    async with serving(Edge) as address:
        reader, writer = await asyncio.open_connection(*address, limit=1024)
        writer.write((b"GET /big" + HOST + b"\r\n") * 500)
        await asyncio.sleep(1)
        answers = b""
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(10):
                while piece := await reader.read(2**16):
                    answers += piece
        writer.close()
    assert 0 < answers.count(b"HTTP/1.1 200") < 500
    [cut] = logged(caplog, events.EDGE_CONNECTION_CUT)
    assert "did not read" in cut["reason"]
