"""What changes of one route cost the traffic of a worker that serves 100,000.

`python benchmarks/changes.py` sends requests at a fixed rate, whether or not answers come, and
measures each from the moment it was due. Phases take turns: no changes, changes of another
registry on the same server (the cost of the machine), changes of the registry that is served.
"""

import asyncio
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import memory
import uvloop
from noop import start
from routes import create, fill, requests, serve_gateway

from gateway.database.connect import connect
from gateway.dev.postgres import Cluster
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.serve.worker import SNAPSHOT

ROUTES = 100_000
RATE = 400
CONNECTIONS = 64
ROUNDS = 3
CHANGES = 34
INTERVAL = 0.25
"""Seconds from one change to the next, if it was done by then."""

PHASES = ("none", "of another registry", "of the one served")
ONE = """\
version: 1
namespace: one
services: {{one: {{kind: python, deployed: true, title: One}}}}
routes:
  one.read:
    method: GET
    path: "/one/{number}/{{id:int}}"
    deployed: true
    title: One
    auth: public
    params: {{properties: {{id: {{type: integer}}}}}}
"""


class Load:
    """Requests at a fixed rate; `latencies` are in milliseconds."""

    def __init__(self, sent: Iterator[bytes]) -> None:
        self.latencies: list[float] = []
        self.idle: deque[_Connection] = deque()
        self._sent = sent
        self._due: deque[float] = deque()

    async def run(self, port: int, seconds: float) -> None:
        """Send for so long, and wait for the last answers."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, connection = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", port
            )
            self.idle.append(connection)
        began = time.perf_counter()
        for number in range(int(seconds * RATE)):
            due = began + number / RATE
            if due > time.perf_counter():
                await asyncio.sleep(due - time.perf_counter())
            self._due.append(due)
            self.send()
        while len(self.latencies) < int(seconds * RATE):  # noqa: ASYNC110 - they come one by one
            await asyncio.sleep(0.01)

    def send(self) -> None:
        """Send what is due, for as long as a connection is idle."""
        while self._due and self.idle:
            self.idle.popleft().ask(next(self._sent), self._due.popleft())


class _Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, request: bytes, due: float) -> None:
        self._since = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """An answer is so small that it comes whole."""
        assert data.startswith(b"HTTP/1.1 200"), data[:200]
        if data.count(b"\r\n\r\n"):
            self._load.latencies.append((time.perf_counter() - self._since) * 1000)
            self._load.idle.append(self)
            self._load.send()


def change(url: str, folder: str, answer: Any) -> None:
    """Apply one change after another; answer how long each took."""
    answer.send(asyncio.run(_change(url, Path(folder))))


async def _change(url: str, folder: Path) -> list[float]:
    connection = await connect(url)
    took = []
    for _ in range(CHANGES):
        started = time.perf_counter()
        (folder / "one.yaml").write_text(ONE.format(number=time.time_ns()))
        [desired] = check(folder / "one.yaml")
        await apply(connection, desired, Author("benchmark"))
        took.append(time.perf_counter() - started)
        await asyncio.sleep(max(0, INTERVAL - took[-1]))
    await connection.close()
    return took


def phase(url: str | None, folder: Path, port: int, sent: Iterator[bytes]) -> tuple[Any, Any]:
    """The latencies of one phase, and how long each change took."""
    load = Load(sent)
    if url is None:
        uvloop.run(load.run(port, CHANGES * INTERVAL))
        return load.latencies, []
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=change, args=(url, str(folder), there)
    )
    process.start()
    time.sleep(1)  # its imports are no part of a change
    uvloop.run(load.run(port, CHANGES * INTERVAL))
    took = here.recv()
    process.join()
    return load.latencies, took


async def copy(cluster: Cluster, name: str, of: str) -> str:
    connection = await connect(cluster.url())
    await connection.execute(f"create database {name} template {of}")
    await connection.close()
    return cluster.url(name)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "postgres") as cluster:
        folder = Path(name)
        url = asyncio.run(create(cluster, "served"))
        asyncio.run(fill(url, memory.write(folder / "many", ROUTES)))
        other = asyncio.run(copy(cluster, "other", "served"))
        process, port = start(serve_gateway, url, ROUTES, str(folder / "data"))
        try:
            while not (folder / "data" / SNAPSHOT).exists():
                time.sleep(0.1)
            report(*measure(dict(zip(PHASES, (None, other, url), strict=True)), folder, port))
        finally:
            process.terminate()
            process.join()


def measure(
    urls: dict[str, str | None], folder: Path, port: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Latencies and times of changes by phase, over all rounds; a first round warms up."""
    sent = itertools.cycle(requests(ROUTES))
    phase(None, folder, port, sent)
    latencies: dict[str, list[float]] = {name: [] for name in urls}
    changes: dict[str, list[float]] = {name: [] for name in urls}
    for _ in range(ROUNDS):
        for name, url in urls.items():
            found, took = phase(url, folder, port, sent)
            latencies[name] += found
            changes[name] += took
    return latencies, changes


def report(latencies: dict[str, list[float]], changes: dict[str, list[float]]) -> None:
    print(
        f"{ROUTES:,} routes, {RATE} requests a second, {ROUNDS} x {CHANGES} changes of one route, "
        f"{os.cpu_count()} cores for worker, load, PostgreSQL and apply, "
        f"load average {os.getloadavg()[0]:.1f}\n"
    )
    print(f"{'changes':22}{'change s':>10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'p99 x':>8}")
    base = percentile(latencies[PHASES[0]], 0.99)
    for name, found in latencies.items():
        took = f"{statistics.median(changes[name]):10.2f}" if changes[name] else " " * 10
        p99 = percentile(found, 0.99)
        print(
            f"{name:22}{took}{statistics.median(found):9.2f}{p99:9.2f}{max(found):9.1f}"
            f"{p99 / base:8.2f}"
        )


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of them lies."""
    return sorted(values)[int(len(values) * share)]


if __name__ == "__main__":
    main()
