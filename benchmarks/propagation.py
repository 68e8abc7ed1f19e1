"""The time from the commit of a changed route until the last of four workers serves it.

`python benchmarks/propagation.py` starts `gateway serve --workers 4` on 10,000 routes and applies
one change after another: with a working NOTIFY, with the listening connections cut before each
commit, and with listening connections that stay open but carry no more data. The baseline is a bare
NOTIFY from one connection to another. It prints a histogram of each, and how many answers came from
an older revision although all workers had reported the new one. `--changes 1000 --gateways 3` is
the long run.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import generated_routes
import httpx2
from changes import ONE
from routes import create_database, fill

from gateway.database.connect import Connection, connect
from gateway.dev.postgres import Cluster
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.registry import store
from gateway.registry.revision import Revision

ROUTES = 10_000
WORKERS = 4
CHANGES = 100
CHANGES_LOST = 25
CHANGE_INTERVAL = 0.05
CHANGE_INTERVAL_LOST = 2.0
"""Seconds between changes; workers that lost their connection must follow again by then."""

TIMEOUT = 60.0
CLOSE_TIMEOUT = 5.0
BOUNDS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BAR = 40

Disturbance: TypeAlias = Callable[[], None]


class Proxy:
    """A proxy in front of PostgreSQL that can cut or silence its connections."""

    def __init__(self, folder: str, port: str) -> None:
        self._socket_path = f"{folder}/.s.PGSQL.{port}"
        self._writers: list[asyncio.StreamWriter] = []
        self._silenced: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve for the length of the block; yields the port."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            self.cut()
            server.close()
            # A cancelled handler would print a traceback.
            if self._connections:
                await asyncio.wait(self._connections, timeout=CLOSE_TIMEOUT)

    def cut(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def silence(self) -> None:
        """Leave every connection open, but drop all further data."""
        self._silenced.update(self._writers)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        server_reader, server_writer = await asyncio.open_unix_connection(self._socket_path)
        self._writers += [writer, server_writer]
        await asyncio.gather(
            self._forward(reader, server_writer), self._forward(server_reader, writer)
        )

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if writer not in self._silenced:
                    writer.write(data)
        writer.close()


@contextlib.contextmanager
def running_gateway(
    url: str, listen_url: str, folder: Path, workers: int = WORKERS, **settings: str
) -> Iterator[str]:
    """Run the real command with its workers, for the length of the block; yields its address."""
    port = _free_port()
    environment = {
        **os.environ,
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_LISTEN_DATABASE_URL": listen_url,
        "GATEWAY_DATA_DIR": str(folder),
        "GATEWAY_PORT": str(port),
        "GATEWAY_ADMIN_PORT": "0",
        **settings,
    }
    command = [sys.executable, "-m", "gateway", "serve", "--workers", str(workers)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


async def apply_change(connection: Connection, folder: Path) -> Revision:
    """Apply a change of one route; return its revision."""
    (folder / "one.yaml").write_text(ONE.format(number=time.time_ns()))
    [desired] = check(folder / "one.yaml")
    return (await apply(connection, desired, Author("benchmark"))).identity


async def wait_until_served(connection: Connection, revision: Revision) -> float:
    """Poll until the last worker serves a revision; return the milliseconds that this took."""
    started = time.perf_counter()
    while await store.late_workers(connection, revision):
        if time.perf_counter() - started > TIMEOUT:
            raise TimeoutError
    return (time.perf_counter() - started) * 1000


async def wait_until_started(connection: Connection, workers: int = WORKERS) -> None:
    """Wait until all workers are registered and serve the newest revision."""
    while True:
        if await connection.fetchval("select count(*) from gateway.workers") == workers:
            break
        await asyncio.sleep(0.1)
    await wait_until_served(connection, await store.newest(connection))


async def measure(
    connection: Connection, folder: Path, changes: int, interval: float, disturb: Disturbance
) -> AsyncIterator[tuple[Revision, float]]:
    """Apply changes, each after a disturbance; yield the milliseconds until each is served."""
    for _ in range(changes):
        disturb()
        revision = await apply_change(connection, folder)
        yield revision, await wait_until_served(connection, revision)
        await asyncio.sleep(interval)


class Stale:
    """Counts answers, and those from an older revision than all workers have reported."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self.answers = self.older = 0

    async def ask(self, http: httpx2.AsyncClient, revision: Revision) -> None:
        """Ask some workers of each gateway, on new connections."""
        requests = [http.get(f"{url}/nowhere") for url in self._urls * WORKERS]
        for answer in await asyncio.gather(*requests):
            self.answers += 1
            self.older += int(answer.headers["x-registry-revision"]) < revision.number


async def measure_bare_notify(url: str) -> list[float]:
    """Milliseconds of a NOTIFY from one connection to another."""
    sender, listener = await connect(url), await connect(url)
    received = asyncio.Event()
    await listener.add_listener("bare", lambda *_: received.set())
    times = []
    for _ in range(CHANGES):
        received.clear()
        started = time.perf_counter()
        await sender.execute("notify bare")
        await received.wait()
        times.append((time.perf_counter() - started) * 1000)
    await asyncio.gather(sender.close(), listener.close())
    return times


@contextlib.asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy in front of a database, and the database's address through it."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    proxy = Proxy(query["host"][0], query["port"][0])
    async with proxy.serving() as port:
        yield proxy, f"postgresql://gateway@127.0.0.1:{port}{parts.path}"


async def run(url: str, folder: Path, changes: int, gateways: int) -> None:
    """Measure and print."""
    async with proxied(url) as (proxy, listen_url):
        connection = await connect(url)
        with contextlib.ExitStack() as running:
            addresses = [
                running.enter_context(running_gateway(url, listen_url, folder / f"data-{number}"))
                for number in range(gateways)
            ]
            await wait_until_started(connection, WORKERS * gateways)
            report("a bare NOTIFY", await measure_bare_notify(url))
            measured = measure(connection, folder, changes, CHANGE_INTERVAL, lambda: None)
            await report_measured("NOTIFY", measured, addresses)
            for name, disturb in (("cut", proxy.cut), ("silent", proxy.silence)):
                measured = measure(connection, folder, CHANGES_LOST, CHANGE_INTERVAL_LOST, disturb)
                title = f"listening connections {name} before each commit"
                await report_measured(title, measured, addresses)
        await connection.close()


async def report_measured(
    name: str, measured: AsyncIterator[tuple[Revision, float]], addresses: list[str]
) -> None:
    """Print a histogram, and how many answers came from an older revision."""
    times, stale = [], Stale(addresses)
    limits = httpx2.Limits(max_keepalive_connections=0)
    async with httpx2.AsyncClient(limits=limits, timeout=TIMEOUT) as http:
        async for revision, milliseconds in measured:
            times.append(milliseconds)
            await stale.ask(http, revision)
    report(name, times)
    print(f"{stale.answers:,} answers after these changes, {stale.older} from an older revision")


def report(name: str, times: list[float]) -> None:
    """Print a histogram of milliseconds."""
    times = sorted(times)
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    print(
        f"\n{name}: {len(times)} times, median {statistics.median(times):.1f} ms, "
        f"p99 {p99:.1f} ms, longest {times[-1]:.1f} ms"
    )
    lower = 0
    for upper in BOUNDS:
        count = sum(lower <= milliseconds < upper for milliseconds in times)
        if count:
            bar = "#" * max(1, round(count / len(times) * BAR))
            print(f"{lower:6,}-{upper:5,} ms {count:4} {bar}")
        lower = upper


def main() -> None:
    """Measure and print, with an embedded PostgreSQL."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--changes", type=int, default=CHANGES, help="changes with NOTIFY")
    parser.add_argument("--gateways", type=int, default=1, help="gateways of four workers each")
    parser.add_argument("--routes", type=int, default=ROUTES)
    options = parser.parse_args()
    print(
        f"{options.gateways} x {WORKERS} workers, {options.routes:,} routes, a change of one route "
        f"each time; {os.cpu_count()} cores for all, load average {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "postgres") as cluster:
        folder = Path(name)
        url = asyncio.run(create_database(cluster, "served"))
        asyncio.run(fill(url, generated_routes.write(folder / "many", options.routes)))
        asyncio.run(run(url, folder, options.changes, options.gateways))


if __name__ == "__main__":
    main()
