"""Requests and connections leave nothing to the garbage collector, which runs rarely in a worker.

A circle keeps what it refers to until a collection: bodies of refused requests would fill memory.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator

import harness
import pytest

from gateway.edge.connection import EdgeState

TIMES = 20
HEAD = b"POST " + harness.PATH.encode() + b" HTTP/1.1\r\nHost: x\r\n"


def post(body: bytes, kind: bytes = b"application/json") -> bytes:
    lines = b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    return HEAD + lines + body


REQUESTS = {
    "successful": harness.request(),
    "not JSON": post(b"{"),
    "too deep": post(b"[" * 1000),
    "a large body": post(b'{"text":"' + b"x" * 200_000 + b'"}'),
    "another content type": post(b"<a/>", b"text/xml"),
    "without a token": post(b"{}"),
    "with a token that none has": post(b'{"token":"x"}'),
    "with a wrong param": post(harness.request_body().replace(b'"order_id":7', b'"order_id":"x"')),
    "of an unknown path": b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
    "of another method": b"PUT " + harness.PATH.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "with two spaces": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "without its body": HEAD + b"Content-Length: 100\r\n\r\n",
    "pipelined": harness.request() * 3,
}


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


async def exchange(app: object, state: EdgeState, data: bytes) -> None:
    """A connection that sends this, gets its answers, and closes."""
    edge = harness.edge(app, harness.MemoryTransport(), state)
    edge.data_received(data)
    for _ in range(30):
        await asyncio.sleep(0)
    edge.connection_lost(None)
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", REQUESTS)
async def test_garbage_of_a_request_is_none(name: str) -> None:
    app, state = harness.worker().app, EdgeState()
    await exchange(app, state, REQUESTS[name])
    gc.collect()
    for _ in range(TIMES):
        await exchange(app, state, REQUESTS[name])
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    left = Counter(type(thing).__name__ for thing in gc.garbage)
    # A few may be of the test's own tools; a circle would leave some of each request.
    assert not {kind: count for kind, count in left.items() if count >= TIMES}


async def test_idle_connection_keeps_no_body() -> None:
    app, state = harness.worker().app, EdgeState()
    edge = harness.edge(app, harness.MemoryTransport(), state)
    edge.data_received(REQUESTS["a large body"])
    for _ in range(30):
        await asyncio.sleep(0)
    kept = [value for value in vars(edge).values() if isinstance(value, bytes | bytearray)]
    assert max(map(len, kept)) < 1000
    edge.connection_lost(None)
