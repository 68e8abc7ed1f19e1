"""What the gateway adds to a request that does nothing, beside a raw ASGI echo and Starlette.

`python benchmarks/noop.py` starts each server in its own process, sends each the same POST over the
same number of connections in turn, round after round, and prints medians, ratios and the processor
time of a request. The gateway authenticates, validates, logs and counts; the two baselines only
echo JSON. `python benchmarks/run.py noop` has peers that do the same work.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import uvicorn
import uvloop
from bench.client import is_complete
from bench.machine import describe_python
from harness import BODY, PATH, echo, post
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.database.connect import connect
from gateway.database.migrate import find_all, migrate
from gateway.dev import demo
from gateway.dev.postgres import Cluster
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.runtime import log
from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.settings import Settings
from gateway.upstreams.python import Actions

CONNECTIONS = 32
SECONDS = 3.0
ROUNDS = 5

Rounds = dict[str, list[tuple[float, float]]]
"""Requests a second, and microseconds of processor time a request, of each round, by server."""


def serve_gateway(
    listener: socket.socket, database_url: str, admin: socket.socket | None = None
) -> None:
    """Serve the gateway with everything that a request runs through except a real service."""
    environment = {
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_LOG_LEVEL": "error",
        # The answer of `echo` is not that of the route's service.
        "GATEWAY_CHECK_RETURNS": "none",
    }
    settings = Settings.load(environment)
    log.configure(settings.log_level)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    log.write_in_thread()

    async def run() -> None:
        worker = Worker(settings, Actions({"order_stages.create": echo}))
        await server.serve(worker, settings, listener, admin)

    uvloop.run(run())


async def raw_echo(_: Any, receive: Any, send: Any) -> None:
    """The least an ASGI application can do with JSON."""
    body = orjson.dumps(orjson.loads((await receive())["body"]))
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def starlette_echo(request: Request) -> Response:
    """Echo JSON in a Starlette route."""
    return Response(orjson.dumps(orjson.loads(await request.body())))


def serve_asgi(listener: socket.socket, app: Any) -> None:
    """Serve a baseline with the uvicorn that the gateway uses."""
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", access_log=False, log_level="error", lifespan="off"
    )
    uvicorn.Server(config).run(sockets=[listener])


BASELINES: dict[str, Any] = {
    "raw ASGI echo": raw_echo,
    "Starlette route echo": Starlette(routes=[Route(PATH, starlette_echo, methods=["POST"])]),
}


class ClosedLoopConnection(asyncio.Protocol):
    """A connection that sends the next request when the last answer is complete."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.requests = requests
        self.done = 0
        self.wrong = 0
        self._received = b""

    def connection_made(self, transport: Any) -> None:  # uvloop's is not an asyncio.Transport
        """Send the first request."""
        self._transport = transport
        transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        """Count an answer once it is complete, and send the next request."""
        self._received += data
        if is_complete(self._received):
            self.wrong += not self._received.startswith(b"HTTP/1.1 200")
            self.done += 1
            self._received = b""
            self._transport.write(next(self.requests))


async def measure_rate(port: int, requests: Iterator[bytes], seconds: float = SECONDS) -> float:
    """Requests a second over `CONNECTIONS` connections."""
    loop = asyncio.get_running_loop()
    connections = [
        await loop.create_connection(lambda: ClosedLoopConnection(requests), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    for transport, _ in connections:
        transport.close()
    assert not any(protocol.wrong for _, protocol in connections), "an answer was not 200"
    return sum(protocol.done for _, protocol in connections) / elapsed


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(target: Callable[..., None], *args: Any) -> tuple[Any, int]:
    """Start a server in its own process, pinned to the first core; return process and port."""
    listener = server.listen("127.0.0.1", 0)
    process = multiprocessing.get_context("fork").Process(
        target=_run_pinned, args=(target, listener, *args)
    )
    process.start()
    return process, listener.getsockname()[1]


def _run_pinned(target: Callable[..., None], *args: Any) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    target(*args)


@contextlib.contextmanager
def on_the_last_core() -> Iterator[None]:
    """Keep the load off the servers' core, for the length of the block."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def request_bytes(token: str) -> bytes:
    return post(PATH, {"token": token, **BODY})


async def prepare(url: str) -> str:
    """Fill a database with the tables, the demo and the routes; return an employee's token."""
    connection = await connect(url)
    try:
        await migrate(connection, find_all())
        for desired in check(Path(__file__).parents[1] / "routes.yaml"):
            await apply(connection, desired, Author("benchmark"))
        tokens = await demo.fill(connection, {})
    finally:
        await connection.close()
    return tokens["employee"]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        token = asyncio.run(prepare(cluster.url()))
        servers = {name: start(serve_asgi, app) for name, app in BASELINES.items()}
        servers["gateway"] = start(serve_gateway, cluster.url())
        time.sleep(2)
        try:
            with on_the_last_core():
                rounds = measure(servers, request_bytes(token))
            report(rounds)
        finally:
            for process, _ in servers.values():
                process.terminate()
                process.join()


def measure(servers: dict[str, Any], request: bytes) -> Rounds:
    """The rounds of each server, in turn."""
    rounds: Rounds = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, (process, port) in servers.items():
            rounds[name].append(measure_once(process.pid, port, request))
    return rounds


def measure_once(pid: int, port: int, request: bytes) -> tuple[float, float]:
    """Requests a second, and microseconds of processor time a request, of one round."""
    before = processor_seconds(pid)
    rate = uvloop.run(measure_rate(port, itertools.repeat(request)))
    return rate, (processor_seconds(pid) - before) / (rate * SECONDS) * 1e6


def report(rounds: Rounds) -> None:
    """Print a table of medians, with ratios to the first baseline."""
    print(
        f"{describe_python()}, uvicorn {uvicorn.__version__}, "
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, "
        f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:.0f} s, "
        "load and server on separate cores\n"
    )
    print_medians(rounds, "raw ASGI echo", title="server", share="x raw", digits=2)


def print_medians(
    rounds: Rounds, base: str, *, title: str, share: str = "share", digits: int = 3
) -> None:
    """Print the medians of the rounds, and each as a share of those of `base`."""
    medians = {
        name: [statistics.median(column) for column in zip(*pairs, strict=True)]
        for name, pairs in rounds.items()
    }
    base_rate, base_cpu = medians[base]
    print(f"{title:24}{'requests/s':>12}{share:>8}{'cpu us/request':>16}{share:>8}")
    for name, (rate, cpu) in medians.items():
        rates = f"{rate:12,.0f}{rate / base_rate:8.{digits}f}"
        print(f"{name:24}{rates}{cpu:16.1f}{cpu / base_cpu:8.{digits}f}")


if __name__ == "__main__":
    main()
