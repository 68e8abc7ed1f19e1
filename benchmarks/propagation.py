"""How long after its commit a change of one route is served by the last of four workers.

`python benchmarks/propagation.py` starts `gateway serve --workers 4` on 10,000 routes and applies
one change after another: with NOTIFY as it should be, with the listening connections cut before
each commit, and with connections that stay open and carry nothing any more. The baseline is a bare
NOTIFY from one connection to another. It prints a histogram of each.
"""

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
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

import memory
from changes import ONE
from routes import create, fill

from gateway.database.connect import Connection, connect
from gateway.dev.postgres import Cluster
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.registry import store

ROUTES = 10_000
WORKERS = 4
CHANGES = 100
CHANGES_LOST = 25
SETTLE = 0.05
SETTLE_LOST = 2.0
"""Seconds between changes; after a lost connection all workers shall follow again by then."""

PATIENCE = 60.0
BOUNDS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BAR = 40

Before: TypeAlias = Callable[[], None]


class Wire:
    """A proxy in front of PostgreSQL, whose connections can be cut or left without life."""

    def __init__(self, folder: str, port: str) -> None:
        self._to = f"{folder}/.s.PGSQL.{port}"
        self._writers: list[asyncio.StreamWriter] = []
        self._dead: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Its port, for the length of the block."""
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            self.cut()
            server.close()

    def cut(self) -> None:
        """Close every connection there is."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def silence(self) -> None:
        """Leave every connection open, and let nothing more through."""
        self._dead.update(self._writers)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._to)
        self._writers += [writer, back]
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if writer not in self._dead:
                    writer.write(data)
        writer.close()


@contextlib.contextmanager
def gateway(
    url: str, listen_url: str, folder: Path, workers: int = WORKERS, **settings: str
) -> Iterator[str]:
    """The real command with its workers, and where it listens."""
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


async def change(connection: Connection, folder: Path) -> int:
    """Apply a change of one route, and answer its revision."""
    (folder / "one.yaml").write_text(ONE.format(number=time.time_ns()))
    [desired] = check(folder / "one.yaml")
    return (await apply(connection, desired, Author("benchmark"))).revision


async def until_served(connection: Connection, revision: int) -> float:
    """Milliseconds until the last worker says that it serves a revision, asked all the time."""
    started = time.perf_counter()
    while await store.late_workers(connection, revision):
        if time.perf_counter() - started > PATIENCE:
            raise TimeoutError
    return (time.perf_counter() - started) * 1000


async def started(connection: Connection, workers: int = WORKERS) -> None:
    """Wait for all workers to live and to serve."""
    while True:
        if await connection.fetchval("select count(*) from gateway.workers") == workers:
            break
        await asyncio.sleep(0.1)
    await until_served(connection, await store.newest(connection))


async def measure(
    connection: Connection, folder: Path, changes: int, normalise: float, before: Before
) -> list[float]:
    """Apply so many changes, with something done before each."""
    found = []
    for _ in range(changes):
        before()
        found.append(await until_served(connection, await change(connection, folder)))
        await asyncio.sleep(normalise)
    return found


async def bare(url: str) -> list[float]:
    """Milliseconds of a NOTIFY from one connection to another."""
    one, other = await connect(url), await connect(url)
    heard = asyncio.Event()
    await other.add_listener("bare", lambda *_: heard.set())
    found = []
    for _ in range(CHANGES):
        heard.clear()
        began = time.perf_counter()
        await one.execute("notify bare")
        await heard.wait()
        found.append((time.perf_counter() - began) * 1000)
    await asyncio.gather(one.close(), other.close())
    return found


@contextlib.asynccontextmanager
async def wired(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A proxy in front of a database, and the database's address there."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    wire = Wire(query["host"][0], query["port"][0])
    async with wire.serving() as port:
        yield wire, f"postgresql://gateway@127.0.0.1:{port}{parts.path}"


async def run(url: str, folder: Path) -> None:
    """Measure and print."""
    async with wired(url) as (wire, listen_url):
        connection = await connect(url)
        with gateway(url, listen_url, folder / "data"):
            await started(connection)
            report("a bare NOTIFY", await bare(url))
            report("NOTIFY", await measure(connection, folder, CHANGES, SETTLE, lambda: None))
            for name, before in (("cut", wire.cut), ("silent", wire.silence)):
                lost = measure(connection, folder, CHANGES_LOST, SETTLE_LOST, before)
                report(f"listening connections {name} before each commit", await lost)
        await connection.close()


def report(name: str, found: list[float]) -> None:
    """A histogram."""
    found = sorted(found)
    p99 = found[min(len(found) - 1, int(len(found) * 0.99))]
    print(
        f"\n{name}: {len(found)} times, median {statistics.median(found):.1f} ms, "
        f"p99 {p99:.1f} ms, longest {found[-1]:.1f} ms"
    )
    lower = 0
    for upper in BOUNDS:
        count = sum(lower <= each < upper for each in found)
        if count:
            bar = "#" * max(1, round(count / len(found) * BAR))
            print(f"{lower:6,}-{upper:5,} ms {count:4} {bar}")
        lower = upper


def main() -> None:
    """Measure and print, on a PostgreSQL of its own."""
    print(
        f"{WORKERS} workers, {ROUTES:,} routes, a change of one route each time; "
        f"{os.cpu_count()} cores for all, load average {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "postgres") as cluster:
        folder = Path(name)
        url = asyncio.run(create(cluster, "served"))
        asyncio.run(fill(url, memory.write(folder / "many", ROUTES)))
        asyncio.run(run(url, folder))


if __name__ == "__main__":
    main()
