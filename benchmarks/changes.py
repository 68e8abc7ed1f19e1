"""What changes of one route cost the requests to a worker that serves 100,000 routes.

`python benchmarks/changes.py` sends requests at a fixed rate, whether or not answers come, and
measures each from the moment it was due. Three phases take turns: no changes, changes of another
registry on the same PostgreSQL server (their cost to the machine), and changes of the registry that
the worker serves.
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

import generated_routes
import uvloop
from noop import start
from routes import create_database, fill, random_requests, serve_gateway

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
"""Seconds between the starts of two changes, unless a change takes longer."""

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


class FixedRateLoad:
    """Requests at a fixed rate; `latencies` are in milliseconds."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.latencies: list[float] = []
        self.idle: deque[_Connection] = deque()
        self._requests = requests
        self._due: deque[float] = deque()

    async def run(self, port: int, seconds: float) -> None:
        """Send for `seconds`, and wait for the last answers."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, connection = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", port
            )
            self.idle.append(connection)
        started = time.perf_counter()
        for number in range(int(seconds * RATE)):
            due = started + number / RATE
            if due > time.perf_counter():
                await asyncio.sleep(due - time.perf_counter())
            self._due.append(due)
            self.send_due()
        while len(self.latencies) < int(seconds * RATE):  # noqa: ASYNC110 - they come one by one
            await asyncio.sleep(0.01)

    def send_due(self) -> None:
        """Send the requests that are due, while a connection is idle."""
        while self._due and self.idle:
            self.idle.popleft().send(next(self._requests), self._due.popleft())


class _Connection(asyncio.Protocol):
    def __init__(self, load: FixedRateLoad) -> None:
        self._load = load
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        # The answers are so small that each arrives in one piece.
        assert data.startswith(b"HTTP/1.1 200"), data[:200]
        if data.count(b"\r\n\r\n"):
            self._load.latencies.append((time.perf_counter() - self._due) * 1000)
            self._load.idle.append(self)
            self._load.send_due()


def apply_changes(url: str, folder: str, pipe: Any) -> None:
    """Apply one change after another; send the seconds that each took through the pipe."""
    pipe.send(asyncio.run(_apply_changes(url, Path(folder))))


async def _apply_changes(url: str, folder: Path) -> list[float]:
    connection = await connect(url)
    durations = []
    for _ in range(CHANGES):
        started = time.perf_counter()
        (folder / "one.yaml").write_text(ONE.format(number=time.time_ns()))
        [desired] = check(folder / "one.yaml")
        await apply(connection, desired, Author("benchmark"))
        durations.append(time.perf_counter() - started)
        await asyncio.sleep(max(0, INTERVAL - durations[-1]))
    await connection.close()
    return durations


def run_phase(
    url: str | None, folder: Path, port: int, requests: Iterator[bytes]
) -> tuple[Any, Any]:
    """The latencies of one phase in milliseconds, and the seconds that each change took."""
    load = FixedRateLoad(requests)
    if url is None:
        uvloop.run(load.run(port, CHANGES * INTERVAL))
        return load.latencies, []
    receiver, sender = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=apply_changes, args=(url, str(folder), sender)
    )
    process.start()
    time.sleep(1)  # the imports of the process must not count
    uvloop.run(load.run(port, CHANGES * INTERVAL))
    durations = receiver.recv()
    process.join()
    return load.latencies, durations


async def copy_database(cluster: Cluster, name: str, template: str) -> str:
    connection = await connect(cluster.url())
    await connection.execute(f"create database {name} template {template}")
    await connection.close()
    return cluster.url(name)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "postgres") as cluster:
        folder = Path(name)
        url = asyncio.run(create_database(cluster, "served"))
        asyncio.run(fill(url, generated_routes.write(folder / "many", ROUTES)))
        other = asyncio.run(copy_database(cluster, "other", "served"))
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
    """Latencies and durations of changes by phase, over all rounds; a first phase warms up."""
    requests = itertools.cycle(random_requests(ROUTES))
    run_phase(None, folder, port, requests)
    latencies: dict[str, list[float]] = {name: [] for name in urls}
    durations: dict[str, list[float]] = {name: [] for name in urls}
    for _ in range(ROUNDS):
        for name, url in urls.items():
            phase_latencies, phase_durations = run_phase(url, folder, port, requests)
            latencies[name] += phase_latencies
            durations[name] += phase_durations
    return latencies, durations


def report(latencies: dict[str, list[float]], durations: dict[str, list[float]]) -> None:
    print(
        f"{ROUTES:,} routes, {RATE} requests a second, {ROUNDS} x {CHANGES} changes of one route, "
        f"{os.cpu_count()} cores for worker, load, PostgreSQL and apply, "
        f"load average {os.getloadavg()[0]:.1f}\n"
    )
    print(f"{'changes':22}{'change s':>10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'p99 x':>8}")
    base = percentile(latencies[PHASES[0]], 0.99)
    for name, times in latencies.items():
        change = f"{statistics.median(durations[name]):10.2f}" if durations[name] else " " * 10
        p99 = percentile(times, 0.99)
        print(
            f"{name:22}{change}{statistics.median(times):9.2f}{p99:9.2f}{max(times):9.1f}"
            f"{p99 / base:8.2f}"
        )


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the values lies."""
    return sorted(values)[int(len(values) * share)]


if __name__ == "__main__":
    main()
