"""A lean HTTP client in a process of its own, which prints what it found as one line of JSON.

A closed loop sends on each connection when the last answer is complete. An open loop sends at
random moments of a fixed rate and measures from the moment a request was due, so that a server
that stalls is not spared the requests that would have come meanwhile.
"""

import asyncio
import heapq
import itertools
import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import uvloop

PATIENCE = 20.0
"""Seconds that the last answers get; what is missing then counts as wrong."""


def body_length(head: bytes) -> int:
    """What an answer's head says of its body."""
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


def is_whole(answer: bytes) -> bool:
    """Whether an answer is complete."""
    head, found, body = answer.partition(b"\r\n\r\n")
    return bool(found) and len(body) >= body_length(head)


class Tally:
    """Latencies in seconds, and how many answers were not what they are to be."""

    def __init__(self, status: int = 200) -> None:
        self.head = b"HTTP/1.1 %d" % status
        self.sent = 0
        self.wrong = 0
        self.latencies: list[float] = []

    def told(self, seconds: float) -> dict[str, float]:
        """What is printed; latencies in milliseconds."""
        ordered = sorted(self.latencies) or [float("nan")]
        return {
            "done": len(self.latencies),
            "seconds": seconds,
            "wrong": self.wrong + self.sent - len(self.latencies),
            "p50": ordered[len(ordered) // 2] * 1000,
            "p99": ordered[int(len(ordered) * 0.99)] * 1000,
        }


class Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, and says that it is idle again."""

    def __init__(self, idle: Any) -> None:
        self._idle = idle
        self._have = b""

    def connection_made(self, transport: Any) -> None:  # uvloop's is no asyncio.Transport
        """Keep the way to send."""
        self.transport = transport

    def ask(self, request: bytes, tally: Tally, since: float) -> None:
        """Send; the latency is counted from `since`."""
        self._tally, self._since = tally, since
        tally.sent += 1
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count an answer that is complete."""
        self._have += data
        if is_whole(self._have):
            self._tally.wrong += not self._have.startswith(self._tally.head)
            self._tally.latencies.append(time.perf_counter() - self._since)
            self._have = b""
            self._idle(self)


async def connect(port: int, count: int, idle: Any) -> list[Connection]:
    """So many open connections."""
    loop = asyncio.get_running_loop()
    return [
        (await loop.create_connection(lambda: Connection(idle), "127.0.0.1", port))[1]
        for _ in range(count)
    ]


def read(file: str) -> Iterator[bytes]:
    """The requests of a file, over and over."""
    return itertools.cycle(Path(file).read_bytes().split(b"\0"))


async def closed(asked: Any) -> dict[str, Any]:
    """As many requests as the server answers."""
    requests, tally = read(asked["closed"]), Tally()

    def send(connection: Connection) -> None:
        if time.perf_counter() < end:
            connection.ask(next(requests), tally, time.perf_counter())

    connections = await connect(asked["port"], asked["connections"], send)
    began = time.perf_counter()
    end = began + asked["seconds"]
    for connection in connections:
        send(connection)
    await asyncio.sleep(asked["seconds"])
    while not tally.latencies and time.perf_counter() < end + PATIENCE:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    # What is on its way is neither counted nor wrong; its rows may be written all the same.
    told = tally.told(time.perf_counter() - began)
    return {**told, "wrong": tally.wrong}


async def fixed(asked: Any) -> dict[str, Any]:
    """Some streams at once, each at its own rate."""
    idle: deque[Connection] = deque()
    waiting: deque[tuple[bytes, Tally, float]] = deque()

    def send(connection: Connection) -> None:
        idle.append(connection)
        while waiting and idle:
            idle.popleft().ask(*waiting.popleft())

    idle.extend(await connect(asked["port"], asked["connections"], send))
    tallies = {stream["name"]: Tally(stream["status"]) for stream in asked["streams"]}
    began = time.perf_counter()
    for after, name, request in arrivals(asked["streams"], asked["seconds"]):
        if (early := began + after - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        waiting.append((request, tallies[name], began + after))
        if idle:
            idle.popleft().ask(*waiting.popleft())
    await _finish(waiting, list(tallies.values()))
    return {name: tally.told(asked["seconds"]) for name, tally in tallies.items()}


async def _finish(waiting: deque[Any], tallies: list[Tally]) -> None:
    deadline = time.perf_counter() + PATIENCE
    while waiting or any(tally.sent > len(tally.latencies) for tally in tallies):
        if time.perf_counter() > deadline:
            return
        await asyncio.sleep(0.005)


def arrivals(streams: list[Any], seconds: float) -> Iterator[tuple[float, str, bytes]]:
    """When, for which stream, and what: independent random arrivals, merged in order."""
    return heapq.merge(
        *(_arrivals(number, stream, seconds) for number, stream in enumerate(streams))
    )


def _arrivals(seed: int, stream: Any, seconds: float) -> Iterator[tuple[float, str, bytes]]:
    chance, after = random.Random(seed), 0.0
    for request in read(stream["requests"]):
        # The first comes at once, so that a short run has one too.
        yield after, stream["name"], request
        after += chance.expovariate(stream["rate"])
        if after > seconds:
            return


def main() -> None:
    """Do what the one argument asks for."""
    asked = orjson.loads(sys.argv[1])
    found = uvloop.run(closed(asked) if "closed" in asked else fixed(asked))
    sys.stdout.write(orjson.dumps(found).decode() + "\n")


if __name__ == "__main__":
    main()
