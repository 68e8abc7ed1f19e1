"""Reads that hold many requests: what is parsed in one turn, and that nothing is misread."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import harness
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples

from gateway.edge import protocol, unparsed
from gateway.edge.connection import EdgeState
from gateway.edge.http1 import Http1Exchange
from gateway.edge.unparsed import ParseTurns, Unparsed

TURNS = 2000
IDLE = 150
"""Turns without an answer after which no more is expected."""

SMALL = 40
"""Bytes of a piece, so that short requests have several."""


class Wire(harness.MemoryTransport):
    """A transport that knows whether it reads, and whether it is closed."""

    paused = closed = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the request, as a line of JSON."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    line = json.dumps([scope["method"], scope["path"], body.decode()]).encode() + b"\n"
    length = [(b"content-length", b"%d" % len(line))]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": line})


def connect(state: EdgeState | None = None) -> tuple[protocol.Edge, Wire]:
    wire = Wire()
    return harness.edge(echo, wire, state or EdgeState()), wire


async def answers(reads: list[bytes]) -> list[str]:
    """The lines with which the application answers; a refusal is its HTTP status."""
    edge, wire = connect()
    for read in reads:
        await _settle(wire, lambda wire: not wire.paused)
        if not wire.closed:
            edge.data_received(read)
    before = -1
    while before != wire.writes:
        before = wire.writes
        for _ in range(IDLE):
            await asyncio.sleep(0)
    await _leave(edge)
    lines = wire.written.replace(b"HTTP/1.1 400", b'\n"400"\n').split(b"\n")
    return [line.decode() for line in lines if line.startswith((b"[", b'"4'))]


async def _leave(*edges: protocol.Edge) -> None:
    """Disconnect, and let the applications see it."""
    for edge in edges:
        edge.connection_lost(None)
    for _ in range(5):
        await asyncio.sleep(0)


async def _settle(wire: Wire, is_done: Any) -> None:
    for _ in range(TURNS):
        if is_done(wire) or wire.closed:
            return
        await asyncio.sleep(0)
    pytest.fail("the connection reads no more")


Request = tuple[bytes, str]
"""The bytes of a request, and the line with which it is answered."""


def request(method: str, head: str, body: bytes, text: str, blanks: str = " ") -> Request:
    line = json.dumps([method, "/x", text])
    return f"{method}{blanks}/x HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + body, line


def sized(text: str) -> Request:
    return request("POST", f"Content-Length: {len(text)}\r\n", text.encode(), text)


def chunked(parts: list[str], trailer: str) -> Request:
    chunks = "".join(f"{len(part):x}\r\n{part}\r\n" for part in parts if part)
    body = f"{chunks}0\r\n{trailer}\r\n".encode()
    return request("POST", "Transfer-Encoding: chunked\r\n", body, "".join(parts))


_texts = st.lists(
    st.sampled_from(["\r\n", "\r", "\n", "0", "a", "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"]),
    max_size=12,
)
_requests = st.one_of(
    st.just(request("GET", "", b"", "")),
    _texts.map("".join).map(sized),
    st.tuples(_texts, st.sampled_from(["", "X: y\r\n"])).map(lambda drawn: chunked(*drawn)),
)
_sizes = st.lists(st.integers(1, 90), max_size=30)
_pieces = st.sampled_from([SMALL, unparsed.PIECE])


def reads(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


async def answers_in_pieces(data: bytes, sizes: list[int], piece: int) -> list[str]:
    with mock.patch.multiple(protocol, PIECE=piece, CHUNKS=piece):
        return await answers([read for read in reads(data, sizes) if read])


@examples
@given(st.lists(_requests, min_size=1, max_size=6), _sizes, _pieces)
def test_unparsed_pipelined_requests_are_read_as_they_were_sent(
    requests: list[Request], sizes: list[int], piece: int
) -> None:
    data = b"".join(data for data, _ in requests)
    assert asyncio.run(answers_in_pieces(data, sizes, piece)) == [line for _, line in requests]


@examples
@given(st.lists(_requests, max_size=4), _sizes, _pieces)
def test_unparsed_request_line_with_two_spaces_is_refused_wherever_it_stands(
    requests: list[Request], sizes: list[int], piece: int
) -> None:
    odd, _ = request("GET", "", b"", "", blanks="  ")
    data = b"".join(data for data, _ in requests) + odd + odd
    found = asyncio.run(answers_in_pieces(data, sizes, piece))
    assert found == [*(line for _, line in requests), '"400"']


@pytest.mark.parametrize(
    "between", [pytest.param(b"", id="nothing"), pytest.param(b"\r\n", id="an empty line")]
)
def test_unparsed_request_line_with_two_spaces_after_a_whole_request_is_400(
    between: bytes,
) -> None:
    first, line = request("GET", "", b"", "")
    odd, _ = request("GET", "", b"", "", blanks="  ")
    assert asyncio.run(answers([first + between + odd])) == [line, '"400"']
    data = first + between + odd
    for size in range(len(first), len(data)):
        assert asyncio.run(answers([data[:size], data[size:]])) == [line, '"400"']


async def test_unparsed_reads_of_many_clients_become_few_requests_in_one_turn() -> None:
    flood = request("GET", "", b"", "")[0] * 5000
    clients = [connect() for _ in range(60)]
    with mock.patch("gateway.edge.protocol.Http1Exchange", wraps=Http1Exchange) as created:
        for edge, _ in clients:
            edge.data_received(flood)
        assert created.call_count <= 2 * len(clients)
        for _ in range(20):
            before = created.call_count
            await asyncio.sleep(0)
            assert created.call_count - before <= 2 * len(clients)
    assert all(wire.paused for _, wire in clients)
    await _leave(*(edge for edge, _ in clients))


async def test_unparsed_chunks_of_one_byte_are_parsed_in_many_turns() -> None:
    bodies = 0
    on_body = protocol.Edge.on_body

    def count(edge: protocol.Edge, body: bytes) -> None:
        nonlocal bodies
        bodies += 1
        on_body(edge, body)

    head, chunk = (
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\na\r\n",
    )
    with mock.patch.object(protocol.Edge, "on_body", count):
        edge, wire = connect()
        edge.data_received(head + chunk * 10_000)
        assert 0 < bodies <= unparsed.CHUNKS / len(chunk) + 1
        await _settle(wire, lambda _: bodies == 10_000)
    await _leave(edge)


def test_unparsed_bytes_are_cut_after_the_end_of_a_head() -> None:
    left = Unparsed()
    left.append(b"a\r\n\r\n\r\nb")
    left.append(b"c" * 10)
    sizes = [len(left.take_piece(10)) for _ in range(4)]
    assert sizes == [5, 2, 10, 1]
    assert left.size == 0


class Client:
    """A connection that parses a number of times, and notes each; by default of its own network."""

    def __init__(
        self, name: str, times: int, turns: ParseTurns, log: list[str], network: str = ""
    ) -> None:
        self.name, self.times, self.turns, self.log = name, times, turns, log
        self.network = network or name

    def parse_more(self) -> None:
        self.log.append(self.name)
        self.times -= 1
        if self.times:
            self.turns.add(self, asyncio.get_running_loop())


@pytest.mark.parametrize(("seconds", "first"), [(0.0, "a"), (60.0, "abcabc")])
async def test_parse_turns_end_after_their_time_and_go_round(seconds: float, first: str) -> None:
    log: list[str] = []
    turns = ParseTurns(seconds)
    clients = [Client(name, 2, turns, log) for name in "abcd"]
    for client in clients:
        turns.add(client, asyncio.get_running_loop())
        turns.add(client, asyncio.get_running_loop())
    turns.discard(clients[3])
    await asyncio.sleep(0)
    assert "".join(log) == first
    for _ in range(6):
        await asyncio.sleep(0)
    assert "".join(log) == "abcabc"


async def test_parse_turns_of_one_client_do_not_delay_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unparsed, "MAX_TURNS", 3)
    log: list[str] = []
    turns = ParseTurns(60.0)
    flood = [Client("f", 1, turns, log, network="attacker") for _ in range(6)]
    for client in [*flood, Client("i", 1, turns, log)]:
        turns.add(client, asyncio.get_running_loop())
    for _ in range(3):
        await asyncio.sleep(0)
    assert "".join(log) == "fifffff"


async def test_unparsed_requests_of_many_connections_at_once_run_a_few_at_a_time() -> None:
    state = EdgeState()
    clients = [connect(state) for _ in range(1000)]
    with mock.patch("gateway.edge.protocol.Http1Exchange", wraps=Http1Exchange) as created:
        for edge, _ in clients:
            edge.data_received(request("GET", "", b"", "")[0])
        assert created.call_count == unparsed.MAX_READS
        while created.call_count < len(clients):
            before = created.call_count
            await asyncio.sleep(0)
            assert created.call_count - before <= unparsed.MAX_TURNS
    for _ in range(IDLE):
        await asyncio.sleep(0)
    assert all(wire.written.startswith(b"HTTP/1.1 200") for _, wire in clients)
    await _leave(*(edge for edge, _ in clients))
