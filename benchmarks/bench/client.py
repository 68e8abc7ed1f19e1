"""A lean HTTP client that runs in its own process and prints its result as one line of JSON.

A closed loop sends on each connection when the last answer is complete. An open loop sends at
random moments with a fixed mean rate and measures from the moment a request was due, so a stall of
the server counts against every request that arrives during the stall.
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

ANSWER_TIMEOUT = 20.0
"""Seconds to wait for the last answers; an answer that is missing by then counts as wrong."""


def body_length(head: bytes) -> int:
    """The `Content-Length` in an answer's head."""
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


def is_complete(answer: bytes) -> bool:
    """Whether the whole head and the whole body have arrived."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    return bool(separator) and len(body) >= body_length(head)


class Tally:
    """Latencies in seconds, and the number of answers with an unexpected status."""

    def __init__(self, status: int = 200) -> None:
        self.head = b"HTTP/1.1 %d" % status
        self.sent = 0
        self.wrong = 0
        self.latencies: list[float] = []

    def summary(self, seconds: float) -> dict[str, float]:
        """The figures to print; latencies in milliseconds."""
        ordered = sorted(self.latencies) or [float("nan")]
        return {
            "done": len(self.latencies),
            "seconds": seconds,
            "wrong": self.wrong + self.sent - len(self.latencies),
            "p50": ordered[len(ordered) // 2] * 1000,
            "p99": ordered[int(len(ordered) * 0.99)] * 1000,
        }


class Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, and calls `on_idle` with itself."""

    def __init__(self, on_idle: Any) -> None:
        self._on_idle = on_idle
        self._received = b""

    def connection_made(self, transport: Any) -> None:  # uvloop's is not an asyncio.Transport
        """Keep the transport to send with."""
        self.transport = transport

    def send(self, request: bytes, tally: Tally, since: float) -> None:
        """Send a request; its latency counts from `since`."""
        self._tally, self._since = tally, since
        tally.sent += 1
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count the answer once it is complete."""
        self._received += data
        if is_complete(self._received):
            self._tally.wrong += not self._received.startswith(self._tally.head)
            self._tally.latencies.append(time.perf_counter() - self._since)
            self._received = b""
            self._on_idle(self)


async def connect(port: int, count: int, on_idle: Any) -> list[Connection]:
    """Open `count` connections."""
    loop = asyncio.get_running_loop()
    return [
        (await loop.create_connection(lambda: Connection(on_idle), "127.0.0.1", port))[1]
        for _ in range(count)
    ]


def read(file: str) -> Iterator[bytes]:
    """The requests of a file, in an endless cycle."""
    return itertools.cycle(Path(file).read_bytes().split(b"\0"))


async def closed_loop(options: Any) -> dict[str, Any]:
    """Send as many requests as the server answers."""
    requests, tally = read(options["closed"]), Tally()

    def send(connection: Connection) -> None:
        if time.perf_counter() < end:
            connection.send(next(requests), tally, time.perf_counter())

    connections = await connect(options["port"], options["connections"], send)
    started = time.perf_counter()
    end = started + options["seconds"]
    for connection in connections:
        send(connection)
    await asyncio.sleep(options["seconds"])
    while not tally.latencies and time.perf_counter() < end + ANSWER_TIMEOUT:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    # Requests in flight count neither as done nor as wrong, though the server may write their rows.
    summary = tally.summary(time.perf_counter() - started)
    return {**summary, "wrong": tally.wrong}


async def open_loop(options: Any) -> dict[str, Any]:
    """Send several streams at once, each at its own rate."""
    idle: deque[Connection] = deque()
    waiting: deque[tuple[bytes, Tally, float]] = deque()

    def send(connection: Connection) -> None:
        idle.append(connection)
        while waiting and idle:
            idle.popleft().send(*waiting.popleft())

    idle.extend(await connect(options["port"], options["connections"], send))
    tallies = {stream["name"]: Tally(stream["status"]) for stream in options["streams"]}
    started = time.perf_counter()
    for offset, name, request in arrivals(options["streams"], options["seconds"]):
        if (delay := started + offset - time.perf_counter()) > 0:
            await asyncio.sleep(delay)
        waiting.append((request, tallies[name], started + offset))
        if idle:
            idle.popleft().send(*waiting.popleft())
    await _wait_for_answers(waiting, list(tallies.values()))
    return {name: tally.summary(options["seconds"]) for name, tally in tallies.items()}


async def _wait_for_answers(waiting: deque[Any], tallies: list[Tally]) -> None:
    deadline = time.perf_counter() + ANSWER_TIMEOUT
    while waiting or any(tally.sent > len(tally.latencies) for tally in tallies):
        if time.perf_counter() > deadline:
            return
        await asyncio.sleep(0.005)


def arrivals(streams: list[Any], seconds: float) -> Iterator[tuple[float, str, bytes]]:
    """Yield (seconds since the start, stream, request): random arrivals, merged in order."""
    return heapq.merge(*(_arrivals(seed, stream, seconds) for seed, stream in enumerate(streams)))


def _arrivals(seed: int, stream: Any, seconds: float) -> Iterator[tuple[float, str, bytes]]:
    rng, offset = random.Random(seed), 0.0
    for request in read(stream["requests"]):
        # The first request is due immediately, so that even a short run has one.
        yield offset, stream["name"], request
        offset += rng.expovariate(stream["rate"])
        if offset > seconds:
            return


def main() -> None:
    """Run the loop that the one argument, a JSON object, describes."""
    options = orjson.loads(sys.argv[1])
    result = uvloop.run(closed_loop(options) if "closed" in options else open_loop(options))
    sys.stdout.write(orjson.dumps(result).decode() + "\n")


if __name__ == "__main__":
    main()
