"""What many routes cost: to check and apply them, to build their table, and at each request.

`python benchmarks/routes.py` checks 10 to 100,000 routes of many shapes and applies them to
databases of an embedded PostgreSQL, builds each table in a fresh process, and then sends random
GETs to a worker of each size and to plain Starlette in turn, round after round. It prints medians
and draws docs/explanation/benchmarks/many-routes.svg.
"""

import asyncio
import itertools
import multiprocessing
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import generated_routes
import orjson
import starlette
import uvicorn
import uvloop
from chart import chart
from noop import (
    CONNECTIONS,
    measure_rate,
    on_the_last_core,
    processor_seconds,
    serve_asgi,
    start,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import Call, Reply
from gateway.database.connect import Connection, connect
from gateway.database.migrate import find_all, migrate
from gateway.dev.postgres import Cluster
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.registry import store
from gateway.runtime import log, memory
from gateway.serve import server
from gateway.serve.worker import SNAPSHOT, Worker
from gateway.settings import Settings
from gateway.upstreams.python import Actions

SIZES = (10, 1_000, 10_000, 100_000)
STARLETTE_UP_TO = 10_000
SECONDS = 1.5
ROUNDS = 5
MAX_REQUESTS = 50_000
PICTURE = Path(__file__).parents[1] / "docs" / "explanation" / "benchmarks" / "many-routes.svg"


@dataclass
class Build:
    """The cost of building one table.

    Stalls are in milliseconds: the longest delay of a task that ticks every millisecond, and the
    longest processor time between two ticks.
    """

    seconds: float
    stall: float
    processor_stall: float
    megabytes: float
    megabytes_compiled: float


@dataclass
class Size:
    """The cost of a number of routes before the first request; times are in seconds."""

    check: float
    apply: float
    build: Build


async def echo(call: Call) -> Reply:
    """Return the params: a no-op in the place of a service."""
    return Reply(call.params)


def serve_gateway(listener: Any, url: str, count: int, folder: str) -> None:
    """Serve a worker that has an action for each route."""
    environment = {
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_LOG_LEVEL": "error",
        "GATEWAY_DATA_DIR": folder,
        # A measurement opens connections, and later counts what they need.
        "GATEWAY_KEEP_ALIVE": "600",
    }
    settings = Settings.load(environment)
    log.configure(settings.log_level)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    actions = Actions({generated_routes.name(number): echo for number in range(count)})

    async def run() -> None:
        await server.serve(Worker(settings, actions), settings, listener)

    uvloop.run(run())


async def starlette_echo(request: Request) -> Response:
    """Answer the params of the path as JSON, in a Starlette route."""
    return Response(orjson.dumps(request.path_params, default=str))


def starlette_app(count: int) -> Starlette:
    """The same routes in Starlette."""
    return Starlette(
        routes=[
            Route(
                generated_routes.path(number),
                starlette_echo,
                methods=[generated_routes.method(number)],
            )
            for number in range(count)
        ]
    )


async def fill(url: str, file: Path) -> tuple[float, float]:
    """Check and apply a manifest; return the seconds that each took."""
    connection = await connect(url)
    try:
        await migrate(connection, find_all())
        started = time.perf_counter()
        [desired] = check(file)
        checked = time.perf_counter()
        await apply(connection, desired, Author("benchmark"))
        return checked - started, time.perf_counter() - checked
    finally:
        await connection.close()


def build_table(url: str, pipe: Pipe) -> None:
    """Build a table in this fresh process, as a worker does when it starts."""
    pipe.send(uvloop.run(_build_table(url)))


async def _build_table(url: str) -> Build:
    connection = await connect(url)
    before, stalls = memory.resident() / 1e6, [(0.0, 0.0)]
    ticking = asyncio.create_task(_tick(stalls))
    await asyncio.sleep(0.1)
    started = time.perf_counter()
    table = await store.load(connection)
    seconds = time.perf_counter() - started
    await asyncio.sleep(0.01)
    ticking.cancel()
    loaded = memory.resident() / 1e6
    for schema in {id(route.params): route.params for route in table.routes.values()}.values():
        schema.compile()
    wall, processor = (max(column) * 1000 for column in zip(*stalls, strict=True))
    return Build(
        seconds=seconds,
        stall=wall,
        processor_stall=processor,
        megabytes=loaded - before,
        megabytes_compiled=memory.resident() / 1e6 - before,
    )


async def _tick(stalls: list[tuple[float, float]]) -> None:
    while True:
        wall, processor = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.001)
        stalls.append((time.perf_counter() - wall - 0.001, time.thread_time() - processor))


def build_in_fresh_process(url: str) -> Build:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=build_table, args=(url, sender))
    process.start()
    build: Build = receiver.recv()
    process.join()
    return build


async def create_database(cluster: Cluster, name: str) -> str:
    connection: Connection = await connect(cluster.url())
    await connection.execute(f"create database {name}")
    await connection.close()
    return cluster.url(name)


def prepare(cluster: Cluster, folder: Path, count: int) -> tuple[str, Size]:
    """Prepare a database of `count` routes; return its address and the cost."""
    file = generated_routes.write(folder / str(count), count)
    url = asyncio.run(create_database(cluster, f"routes_{count}"))
    check_seconds, apply_seconds = asyncio.run(fill(url, file))
    build = build_in_fresh_process(url)
    return url, Size(check=check_seconds, apply=apply_seconds, build=build)


def random_requests(count: int) -> Iterator[bytes]:
    """Requests in random order, in an endless cycle."""
    requests = list(itertools.islice(generated_routes.requests(count), MAX_REQUESTS))
    random.Random(1).shuffle(requests)
    return itertools.cycle(requests)


def measure(
    servers: dict[tuple[str, int], Any], round_count: int, seconds: float
) -> dict[tuple[str, int], tuple[float, float]]:
    """Medians of (requests a second, processor microseconds a request); round 0 warms up."""
    rounds: dict[tuple[str, int], list[tuple[float, float]]] = {key: [] for key in servers}
    requests = {count: random_requests(count) for _, count in servers}
    for round_number in range(round_count + 1):
        for key, (process, port) in servers.items():
            before = processor_seconds(process.pid)
            rate = uvloop.run(measure_rate(port, requests[key[1]], seconds))
            used = processor_seconds(process.pid) - before
            if round_number:
                rounds[key].append((rate, used / (rate * seconds) * 1e6))
    return {
        key: (statistics.median(r for r, _ in pairs), statistics.median(c for _, c in pairs))
        for key, pairs in rounds.items()
    }


def main() -> None:
    """Measure, print and draw."""
    print(
        f"Python {platform.python_version()}, uvicorn {uvicorn.__version__}, Starlette "
        f"{starlette.__version__}, {os.cpu_count()} cores, {CONNECTIONS} connections, {ROUNDS} "
        f"rounds of {SECONDS} s, load and server on separate cores, "
        f"load average {os.getloadavg()[0]:.1f}\n"
    )
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "postgres") as cluster:
        prepared = {count: prepare(cluster, Path(name), count) for count in SIZES}
        report_sizes({count: size for count, (_, size) in prepared.items()})
        report_rates(serve_and_measure(Path(name), {c: url for c, (url, _) in prepared.items()}))


def serve_and_measure(
    folder: Path, urls: dict[int, str], rounds: int = ROUNDS, seconds: float = SECONDS
) -> dict[tuple[str, int], tuple[float, float]]:
    """Start a server of each kind and size, and send requests to each in turn."""
    servers = {
        ("gateway", count): start(serve_gateway, url, count, str(folder / str(count)))
        for count, url in urls.items()
    }
    for count in urls:
        if count <= STARLETTE_UP_TO:
            servers["Starlette", count] = start(serve_asgi, starlette_app(count))
    try:
        for count in urls:
            # A worker that has written its first snapshot has finished all work of its start.
            while not (folder / str(count) / SNAPSHOT).exists():
                time.sleep(0.1)
        with on_the_last_core():
            return measure(servers, rounds, seconds)
    finally:
        for process, _ in servers.values():
            process.terminate()
            process.join()


def report_sizes(sizes: dict[int, Size]) -> None:
    print(
        f"{'routes':>8}{'check s':>9}{'apply s':>9}{'build s':>9}{'stall ms':>10}"
        f"{'own cpu':>9}{'MB':>6}{'MB compiled':>13}"
    )
    for count, size in sizes.items():
        build = size.build
        print(
            f"{count:8,}{size.check:9.2f}{size.apply:9.2f}{build.seconds:9.2f}{build.stall:10.1f}"
            f"{build.processor_stall:9.1f}{build.megabytes:6.0f}{build.megabytes_compiled:13.0f}"
        )


def report_rates(rates: dict[tuple[str, int], tuple[float, float]]) -> None:
    print(f"\n{'server':12}{'routes':>8}{'requests/s':>12}{'x 10':>7}{'cpu us':>8}{'x 10':>7}")
    for (name, count), (rate, cpu) in rates.items():
        base = rates[name, SIZES[0]]
        print(
            f"{name:12}{count:8,}{rate:12,.0f}{rate / base[0]:7.2f}{cpu:8.1f}{cpu / base[1]:7.2f}"
        )
    series: dict[str, list[tuple[float, float]]] = {"gateway": [], "Starlette": []}
    for (name, count), (rate, _) in rates.items():
        series[name].append((count, rate))
    PICTURE.write_text(chart("Requests a second by number of routes", "routes", series))


if __name__ == "__main__":
    main()
