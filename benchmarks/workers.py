"""What one, two and four workers answer on this machine, and what stops the rate from doubling.

`python benchmarks/workers.py` starts the real command with each number of workers in turn, round
after round, and calls a route that reads nothing (`sessions.read`) and one that writes
(`order_stages.create`, of 5,000 orders). The load and PostgreSQL run on the same cores: the table
has the processor time of a request in the workers and in the load, and how busy all cores were.
"""

import argparse
import asyncio
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import uvloop
from bench.database import DURABLE, ORDERS, ROOT, SIZE, Database, prepare
from bench.machine import describe_python, processor_seconds
from bench.processes import children_of
from harness import BODY, PATH, post
from noop import CONNECTIONS, measure_rate
from propagation import running_gateway

from gateway.dev.postgres import Cluster
from gateway.manifest.check import check

COUNTS = (1, 2, 4)
SECONDS = 3.0
WARM_SECONDS = 1.0
START_TIMEOUT = 60.0


class Round(NamedTuple):
    """One round: requests a second, microseconds a request, and the busy part of all cores."""

    rate: float
    workers: float
    load: float
    busy: float


class Gateway(NamedTuple):
    """A running gateway: its port and its workers' processes."""

    port: int
    workers: list[int]

    def processor_seconds(self) -> float:
        """What all workers have used so far."""
        return sum(map(processor_seconds, self.workers))


def requests(database: Database) -> dict[str, list[bytes]]:
    """Requests of each route, by the route's name."""
    token = database.tokens[0]
    return {
        "sessions.read": [post("/api/v1/sessions/read", {"token": token})],
        "order_stages.create": [
            post(PATH, {"token": token, **BODY, "order_id": order}) for order in ORDERS
        ],
    }


def started(stack: ExitStack, url: str, folder: Path, count: int) -> Gateway:
    """A gateway with so many workers, once all of them serve; one that is alone has no supervisor.

    Raises RuntimeError if they do not start in time.
    """
    (folder / str(count)).mkdir()
    before = {*children_of(os.getpid(), "gateway")}
    address = stack.enter_context(running_gateway(url, url, folder / str(count), count))
    [process] = {*children_of(os.getpid(), "gateway")} - before
    deadline = time.monotonic() + START_TIMEOUT
    while len(workers := [process] if count == 1 else children_of(process)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"a gateway of {count} workers did not start in time")
        time.sleep(0.1)
    return Gateway(urlsplit(address).port or 0, workers)


def measure_once(gateway: Gateway, sent: Iterator[bytes], seconds: float) -> Round:
    """One round. Raises AssertionError if an answer is not 200."""
    busy, idle = _machine()
    workers, load = gateway.processor_seconds(), time.process_time()
    rate = uvloop.run(measure_rate(gateway.port, sent, seconds))
    count = rate * seconds
    busy_now, idle_now = _machine()
    return Round(
        rate=rate,
        workers=(gateway.processor_seconds() - workers) / count * 1e6,
        load=(time.process_time() - load) / count * 1e6,
        busy=(busy_now - busy) / (busy_now - busy + idle_now - idle),
    )


def _machine() -> tuple[int, int]:
    """The ticks in which all cores were busy and idle; waiting for the disk is idle."""
    with Path("/proc/stat").open() as file:
        user, nice, system, idle, wait, *others = map(int, file.readline().split()[1:9])
    return user + nice + system + sum(others), idle + wait


def measure(
    gateways: dict[int, Gateway], requests: list[bytes], rounds: int, seconds: float
) -> dict[int, list[Round]]:
    """The rounds of each gateway, in turn, after one to warm up."""
    found: dict[int, list[Round]] = {count: [] for count in gateways}
    # In a random order: requests of one order wait for each other.
    sent = itertools.cycle(random.Random(1).sample(requests, len(requests)))
    for gateway in gateways.values():
        measure_once(gateway, sent, WARM_SECONDS)
    for _ in range(rounds):
        for count, gateway in gateways.items():
            found[count].append(measure_once(gateway, sent, seconds))
    return found


def lines(name: str, found: dict[int, list[Round]]) -> Iterator[str]:
    """A table of medians, with ratios to one worker."""
    medians = {
        count: Round(*map(statistics.median, zip(*rounds, strict=True)))
        for count, rounds in found.items()
    }
    one = medians[COUNTS[0]]
    yield (
        f"{name:22}{'requests/s':>12}{'x one':>8}{'us workers':>12}{'x one':>8}"
        f"{'us load':>9}{'busy':>7}"
    )
    for count, at in medians.items():
        yield (
            f"{count:2} worker{'' if count == 1 else 's':13}{at.rate:12,.0f}"
            f"{at.rate / one.rate:8.2f}{at.workers:12.1f}{at.workers / one.workers:8.2f}"
            f"{at.load:9.1f}{at.busy:7.0%}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each number (5)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a round (3)")
    options = parser.parse_args()
    print(
        f"{describe_python()}, {os.cpu_count()} cores for workers, load and PostgreSQL, load "
        f"average {os.getloadavg()[0]:.1f}, {CONNECTIONS} connections, {options.rounds} rounds "
        f"of {options.seconds:g} s in turn"
    )
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        cluster = Cluster(folder / "postgres", options={**DURABLE, **SIZE})
        url = stack.enter_context(cluster).url()
        database = asyncio.run(prepare(url, check(ROOT / "routes.yaml")))
        # Statements that are planned for empty tables would scan them as long as a worker runs.
        database.reset()
        gateways = {count: started(stack, url, folder, count) for count in COUNTS}
        for route, sent in requests(database).items():
            print()
            found = measure(gateways, sent, options.rounds, options.seconds)
            print("\n".join(lines(route, found)))


if __name__ == "__main__":
    main()
