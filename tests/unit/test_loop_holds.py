"""No request holds the event loop for long: the longest turn, in time of this thread's processor.

Time on the clock would count other programs. They still slow this one down, so of several attempts
the best one counts.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator

import attack_corpus
import harness
import pytest

from gateway.edge.connection import EdgeState

LONGEST = 0.02
"""Seconds."""

ATTEMPTS = 8
CLIENTS = 60
READ = 256 * 1024
"""Bytes that uvloop reads at once."""

HEAD = b"POST " + harness.PATH.encode() + b" HTTP/1.1\r\nHost: x\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 40_000
SMALL = HEAD + b"Content-Length: 2\r\n\r\n{}"
PIPELINE = b"GET /n HTTP/1.1\r\nHost: x\r\n\r\n" * 9000
FLOODS = {
    "pipelines that are not read": [PIPELINE] * CLIENTS,
    "chunks of one byte": [CHUNKS] * CLIENTS,
    "heads without bodies": [HEAD + b"Content-Length: 100\r\n\r\n"] * CLIENTS,
    "requests at once": [SMALL] * 1001,
    "small headers": [HEAD + b"a:\r\n" * 8000] * CLIENTS,
}


class Wire(harness.MemoryTransport):
    """A transport whose client reads nothing."""

    def write(self, _: bytes) -> None:
        self.writes += 1

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Turns:
    """The longest turn of the loop so far."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._began = time.thread_time()

    def begin(self) -> None:
        self._began = time.thread_time()

    def end(self) -> None:
        self.longest = max(self.longest, time.thread_time() - self._began)
        self.begin()


@pytest.fixture(autouse=True)
def frozen() -> Iterator[None]:
    """As in a worker: the collector does not look at what lives for ever."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


async def answered(requests: list[bytes], turns: Turns, *, most: int) -> None:
    """Send a read of each request in one turn, until all are sent; then take up to `most` turns."""
    app, state = harness.worker().app, EdgeState()
    edges = [harness.edge(app, Wire(), state) for _ in requests]
    turns.begin()
    for start in range(0, max(map(len, requests)), READ):
        for edge, request in zip(edges, requests, strict=True):
            edge.data_received(request[start : start + READ])
        turns.end()
        await asyncio.sleep(0)
        turns.end()
    for _ in range(most):
        await asyncio.sleep(0)
        turns.end()
    for edge in edges:
        edge.connection_lost(None)
    for _ in range(5):
        await asyncio.sleep(0)


async def best(work: Callable[[Turns], Awaitable[None]]) -> float:
    """The longest turn in the best of several attempts; one below the limit is enough."""
    found = []
    for _ in range(ATTEMPTS):
        turns = Turns()
        await work(turns)
        found.append(turns.longest)
        if turns.longest <= LONGEST:
            break
    return min(found)


@pytest.mark.parametrize("name", attack_corpus.BODIES)
async def test_loop_is_held_shortly_by_any_body(name: str) -> None:
    kind, body = attack_corpus.BODIES[name]
    head = b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    assert await best(lambda turns: answered([HEAD + head + body], turns, most=20)) <= LONGEST


@pytest.mark.parametrize("name", FLOODS)
async def test_loop_is_held_shortly_by_many_clients_at_once(name: str) -> None:
    assert await best(lambda turns: answered(FLOODS[name], turns, most=50)) <= LONGEST
