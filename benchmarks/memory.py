"""What the memory of a worker depends on: its routes, and connections that clients keep open.

`python benchmarks/memory.py` starts a worker for each number of routes, and calls all those that a
GET with one param reaches. To the worker with the fewest routes it then opens 10,000 connections,
sends a request over each, and leaves them open, while calls go on over others. Memory is what the
process holds (RSS), in millions of bytes.
"""

import argparse
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
SECONDS = 5.0
"""Each route that can be called is called in that time, and the memory then stays the same."""


class Worker(NamedTuple):
    """A running worker: its process, its port, and the requests that its routes answer."""

    pid: int
    port: int
    requests: Iterator[bytes]

    def megabytes(self) -> float:
        """The memory that the process holds."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize() / 1e6

    async def call(self, seconds: float) -> float:
        """Call the routes for a while; return the calls a second."""
        return await measure_rate(self.port, self.requests, seconds)


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


async def print_idle(worker: Worker, count: int, seconds: float) -> None:
    """Print what open connections need, and the calls a second beside them."""
    before, alone = worker.megabytes(), await worker.call(seconds)
    opened = await open_idle(worker, count)
    after, beside = worker.megabytes(), await worker.call(seconds)
    assert not any(connection.wrong for connection in opened), "an answer was not 200"
    print(
        f"{count:,} open connections: {before:.1f} -> {after:.1f} MB, "
        f"{(after - before) / count * 1e6:,.0f} bytes each; "
        f"calls beside them {beside / alone:.2f} x as many a second\n"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--routes", type=int, nargs="+", default=SIZES, help="of each worker")
    parser.add_argument("--connections", type=int, default=IDLE_CONNECTIONS, help="left open")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of calls (5)")
    options = parser.parse_args()
    print(f"{describe_python()}, load average {os.getloadavg()[0]:.1f}\n")
    print(f"{'routes':>8}{'MB at start':>13}{'MB after calls':>16}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = stack.enter_context(Cluster(folder / "postgres"))
        for count in options.routes:
            with worker(cluster, folder, count) as running:
                started = running.megabytes()
                uvloop.run(running.call(options.seconds))
                print(f"{count:8,}{started:13.1f}{running.megabytes():16.1f}", flush=True)
                if count == options.routes[0]:
                    uvloop.run(print_idle(running, options.connections, options.seconds))


if __name__ == "__main__":
    main()
