"""What the memory of a worker depends on: its routes, and connections that clients keep open.

`python benchmarks/memory.py` starts a worker for each number of routes, and calls all those that a
GET with one param reaches. To the worker with the fewest routes it then opens 10,000 connections,
sends a request over each, and leaves them open, while calls go on over others. Memory is what the
process holds (RSS), in millions of bytes.
"""

import asyncio
import itertools
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import routes
import uvloop
from bench.machine import describe_python
from noop import ClosedLoopConnection, measure_rate

from gateway.dev.postgres import Cluster
from gateway.serve import server
from gateway.serve.worker import SNAPSHOT

SIZES = (16, 1_000, 100_000)
IDLE_CONNECTIONS = 10_000
CALLED_FOR = 5.0
"""Seconds of calls: each route is called in that time, and the memory then stays the same."""


class Worker(NamedTuple):
    """A running worker: its process, its port, and the requests that its routes answer."""

    pid: int
    port: int
    requests: Iterator[bytes]

    def megabytes(self) -> float:
        """The memory that the process holds."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize() / 1e6

    def call(self) -> float:
        """Call the routes for a while; return the calls a second."""
        return uvloop.run(measure_rate(self.port, self.requests, CALLED_FOR))


@contextmanager
def worker(cluster: Cluster, folder: Path, count: int) -> Iterator[Worker]:
    """Run a worker with so many routes in a new process, for the length of the block."""
    url, _ = routes.prepare(cluster, folder, count)
    listener = server.listen("127.0.0.1", 0)
    arguments = (listener, url, count, str(folder / str(count)))
    process = multiprocessing.get_context("spawn").Process(
        target=routes.serve_gateway, args=arguments
    )
    process.start()
    try:
        # A worker that has written its first snapshot has finished all work of its start.
        while not (folder / str(count) / SNAPSHOT).exists():
            if process.exitcode is not None:
                raise RuntimeError(f"the worker of {count} routes ended: {process.exitcode}")
            time.sleep(0.1)
        port = listener.getsockname()[1]
        yield Worker(process.pid or 0, port, routes.random_requests(count))
    finally:
        process.terminate()
        process.join()


async def open_idle(worker: Worker, count: int) -> list[ClosedLoopConnection]:
    """Open connections, and have one answer over each. Raises TimeoutError after a minute."""
    loop = asyncio.get_running_loop()
    opened = []
    async with asyncio.timeout(60):
        for _ in range(count):
            # One request, and then nothing.
            sent = itertools.chain([next(worker.requests)], itertools.repeat(b""))
            create = partial(ClosedLoopConnection, sent)
            _, connection = await loop.create_connection(create, "127.0.0.1", worker.port)
            opened.append(connection)
        while not all(connection.done for connection in opened):  # noqa: ASYNC110 - of many
            await asyncio.sleep(0.05)
    return opened


async def print_idle(worker: Worker) -> None:
    """Print what open connections need, and the calls a second beside them."""
    before, alone = worker.megabytes(), await measure_rate(worker.port, worker.requests, CALLED_FOR)
    opened = await open_idle(worker, IDLE_CONNECTIONS)
    after = worker.megabytes()
    beside = await measure_rate(worker.port, worker.requests, CALLED_FOR)
    assert not any(connection.wrong for connection in opened), "an answer was not 200"
    print(
        f"\n{IDLE_CONNECTIONS:,} open connections: {before:.1f} -> {after:.1f} MB, "
        f"{(after - before) / IDLE_CONNECTIONS * 1e6:,.0f} bytes each; "
        f"calls beside them {beside / alone:.2f} x as many a second"
    )


def main() -> None:
    """Measure and print."""
    print(f"{describe_python()}, load average {os.getloadavg()[0]:.1f}\n")
    print(f"{'routes':>8}{'MB at start':>13}{'MB after calls':>16}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = stack.enter_context(Cluster(folder / "postgres"))
        for count in SIZES:
            with worker(cluster, folder, count) as running:
                started = running.megabytes()
                running.call()
                print(f"{count:8,}{started:13.1f}{running.megabytes():16.1f}", flush=True)
                if count == SIZES[0]:
                    uvloop.run(print_idle(running))


if __name__ == "__main__":
    main()
