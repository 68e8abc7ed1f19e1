"""What tables that grow cost: keys, stages, and the end of keys.

`python benchmarks/growth.py` measures in an embedded PostgreSQL, with two databases: one as it was
before idempotency keys had a table an hour, and one of today. Where times are compared they are the
processor time of the server process, since other programs may use the machine. `--keys` and
`--rows` make it shorter, and the names of parts run only these.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gateway.database.connect import Connection, connect
from gateway.database.migrate import Migration, find_all, migrate
from gateway.database.sql import load_queries
from gateway.dev.postgres import Cluster

ROOT = Path(__file__).parents[1]
ANSWER = '{"order_stage":{"id":1},"order_status":"' + "x" * 900 + '"}'
ORDERS = 5000
HOURS = 24
BATCHES = (1, 50)
SINGLY = False
ROUNDS = {1: 500, 50: 300}
PARTS = ["keys", "calls", "stages"]
PARTITIONS = (2, 12, 52, 102)

_SQL = load_queries(__file__)
_KEYS = load_queries(ROOT / "gateway/upstreams/idempotency.sql")
_STAGES = load_queries(ROOT / "services/order_stages.sql")


@dataclass(slots=True)
class Server:
    """A connection, and the process of the server behind it."""

    db: Connection
    pid: int
    has_hours: bool

    def cpu(self) -> float:
        """Microseconds of processor time that the server process has used."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1000


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, seconds of processor time, and bytes of the write-ahead log."""

    seconds: float
    cpu: float
    wal: int

    def __str__(self) -> str:
        return f"{self.seconds:7.2f} s, processor {self.cpu:6.2f} s, WAL {self.wal / 1e6:8.1f} MB"


async def cost_of(server: Server, work: Callable[[], Awaitable[object]]) -> Cost:
    """Run some work and measure it."""
    place = await server.db.fetchval(_SQL["wal"])
    cpu, start = server.cpu(), time.perf_counter()
    await work()
    seconds, used = time.perf_counter() - start, server.cpu() - cpu
    return Cost(seconds, used / 1e6, await server.db.fetchval(_SQL["wal_since"], place))


def before(files: list[Migration]) -> list[Migration]:
    """The migrations before this growth was dealt with."""
    first = {"gateway": "gateway/0019", "services": "services/0007"}
    return [file for file in files if file.name < first[file.name.partition("/")[0]]]


async def database(url: str, name: str, *, has_hours: bool) -> Server:
    """Create a database with orders, as it is today or was before."""
    admin = await connect(url)
    await admin.execute(f"create database {name}")
    await admin.close()
    db = await connect(urlunsplit(urlsplit(url)._replace(path=f"/{name}")))
    await migrate(db, find_all() if has_hours else before(find_all()))
    await db.execute("set search_path to public, gateway")
    await db.execute(_SQL["person"])
    await db.execute(_SQL["orders"])
    return Server(db, await db.fetchval("select pg_backend_pid()"), has_hours)


def new_keys(count: int) -> tuple[list[bytes], list[int]]:
    """Random keys, and the numbers of their locks."""
    keys = [os.urandom(32) for _ in range(count)]
    return keys, [int.from_bytes(key[:8], signed=True) for key in keys]


async def fill(server: Server, count: int) -> None:
    """Store keys of the last 24 hours, as many in each."""
    for hour in range(HOURS):
        table = "gateway.idempotency"
        if server.has_hours:
            at = "now() - make_interval(hours => $1)"
            number = await server.db.fetchval(f"select gateway.idempotency_hour({at})", hour)
            table += f"_{number}"
        await insert_keys(server, table, count // HOURS, f"{hour} hours")
    if server.has_hours:
        await server.db.execute(
            "insert into gateway.idempotency_keys (day, lock) select gateway.idempotency_day("
            "created_at), gateway.idempotency_lock(key) from gateway.idempotency"
        )


async def insert_keys(server: Server, table: str, count: int, age: str) -> None:
    await server.db.execute(
        f"insert into {table} (key, fingerprint, answer, created_at) "
        "select sha256(convert_to(g::text || $3::text, 'utf8')), sha256('p'), $4, "
        "now() - $2::text::interval from generate_series(1, $1::integer) g",
        count,
        age,
        f"{table} {age}",
        ANSWER,
    )


def calls(first: int, batch: int, **fields: Any) -> list[dict[str, Any]]:
    """The input of a batch of creates, of one order each."""
    call = {"valid": True, "caller_id": 1, "update_status": True, "stage": "scheduled"}
    return [
        {**call, "i": i, "order_id": (first + i) % ORDERS + 1, "notes": "n" * 20, **fields}
        for i in range(batch)
    ]


async def create(server: Server, first: int, batch: int, *, keyed: bool, **fields: Any) -> None:
    """Create a batch of stages, with the statements that the gateway sends."""
    async with server.db.transaction():
        keys, locks = new_keys(batch)
        if keyed:
            await server.db.fetch(_KEYS["claim"], keys, locks)
            await find(server, keys, locks)
        await server.db.fetch(_STAGES["create"], calls(first, batch, **fields), SINGLY)
        if keyed:
            await store(server, keys, locks)


async def find(server: Server, keys: list[bytes], locks: list[int]) -> None:
    if server.has_hours:
        await server.db.fetch(_KEYS["find"], keys, locks)
    else:
        await server.db.fetch(_SQL["earlier_find"], keys)


async def store(server: Server, keys: list[bytes], locks: list[int]) -> None:
    rest = [ANSWER] * len(keys), [None] * len(keys), [None] * len(keys)
    if server.has_hours:
        await server.db.fetch(_KEYS["store"], keys, locks, keys, *rest)
    else:
        await server.db.fetch(_SQL["earlier_store"], keys, keys, *rest)


async def compare_creates(servers: dict[str, Server]) -> None:
    """Print what a create with a key costs, before and today, in turn."""
    for batch in BATCHES:
        times: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(ROUNDS[batch]):
            for name, server in servers.items():
                start = server.cpu()
                await create(server, number * batch, batch, keyed=True)
                times[name].append((server.cpu() - start) / batch)
        for name, values in times.items():
            tenth = statistics.quantiles(values, n=10)[0]
            print(
                f"create with a key, batch of {batch:2}, {name:6}: processor of the database "
                f"{statistics.median(values):7.1f} us (median), {tenth:7.1f} us (p10)"
            )


async def compare_ends(servers: dict[str, Server], count: int) -> None:
    """Print what the end of keys costs: deleted one by one, and emptied as a table."""
    server = servers["before"]
    await server.db.execute("truncate gateway.idempotency")
    await insert_keys(server, "gateway.idempotency", count, "25 hours")
    print(f"delete {count:,} keys:   ", await run(server, _SQL["earlier_sweep"]))
    await server.db.execute("select pg_stat_force_next_flush()")
    dead = await server.db.fetchval(_SQL["dead"], "gateway.idempotency")
    print(f"  dead rows: {dead:,}; vacuum:", await run(server, "vacuum gateway.idempotency"))
    server = servers["today"]
    hour = await server.db.fetchval("select gateway.idempotency_hour(now() - interval '25 hours')")
    await server.db.execute(f"truncate gateway.idempotency_{hour}")
    await insert_keys(server, f"gateway.idempotency_{hour}", count, "25 hours")
    print(f"empty a table of {count:,}:", await run(server, _KEYS["sweep"]))
    left = await server.db.fetchval(f"select count(*) from gateway.idempotency_{hour}")
    print(f"  dead rows: 0; rows left: {left}")


async def run(server: Server, query: str) -> Cost:
    return await cost_of(server, lambda: server.db.execute(query))


async def cost_of_calls(server: Server, count: int) -> None:
    """Print what a million calls of each kind add."""
    kinds: dict[str, dict[str, Any]] = {
        "create": {"keyed": False},
        "create with a key": {"keyed": True},
        "create with mail": {"keyed": False, "mail_template": "t", "ticket": TICKET},
    }
    tables = {
        "order_stages": "^order_stages",
        "order_statuses": "^order_statuses$",
        "idempotency": r"^idempotency_\d",
        "idempotency_keys": "^idempotency_keys_",
        "outbox": "^outbox$",
    }
    for kind, options in kinds.items():
        sizes = {name: await size(server, pattern) for name, pattern in tables.items()}

        async def work(options: dict[str, Any] = options) -> None:
            for first in range(0, count, 50):
                await create(server, first, 50, **options)

        cost = await cost_of(server, work)
        print(f"a million of: {kind}: WAL {cost.wal / count:,.0f} MB")
        for name, pattern in tables.items():
            new = await size(server, pattern)
            heap, indexes = (new[i] - sizes[name][i] for i in (0, 1))
            if heap or indexes:
                print(
                    f"  {name:17} heap {heap / count:6,.0f} MB, indexes {indexes / count:6,.0f} MB"
                )


TICKET = {"route": "order_stages.create", "request_id": "r" * 32, "seconds": 10}


async def size(server: Server, pattern: str) -> tuple[int, int]:
    row = await server.db.fetchrow(_SQL["sizes"], pattern)
    assert row
    return row["heap"], row["indexes"]


async def partition(server: Server, count: int) -> None:
    """Print how long `order_stages` takes to become a partition, as it was before."""
    await server.db.execute("truncate order_stages, order_statuses")
    await server.db.execute(_SQL["stages"], count)
    await server.db.execute("vacuum analyze order_stages")
    await migrate(server.db, [file for file in find_all() if file.name < "services/0007"])
    await server.db.execute("set search_path to public, gateway")
    file, swap = (
        file for file in find_all() if file.name[:13] in ("services/0007", "services/0008")
    )
    scan, lock, rest = swap.text.partition("lock table")
    await server.db.execute(file.text)
    async with server.db.transaction():
        print(f"check {count:,} stages, calls go on:", await run(server, scan))
        print("make the table a partition, calls wait:", await run(server, lock + rest))


async def cost_of_partitions(server: Server) -> None:
    """Print what reading an order and creating a stage cost, by the number of partitions."""
    step = 100_000_000
    for number in PARTITIONS:
        while await count_partitions(server) < number:
            start = await server.db.fetchval("select gateway.end_of_ranges('order_stages')")
            await server.db.execute(
                f"create table order_stages_{start} partition of order_stages "
                f"for values from ({start}) to ({start + step})"
            )
        history = await median(server, lambda i: history_of(server, i))
        creating = await median(server, lambda i: create(server, i * 50, 50, keyed=False)) / 50
        print(f"{number:4} partitions: history {history:7.1f} us, create {creating:6.1f} us")


async def count_partitions(server: Server) -> int:
    count: int = await server.db.fetchval(
        "select count(*) from pg_inherits where inhparent = 'order_stages'::regclass"
    )
    return count


def history_of(server: Server, number: int) -> Awaitable[object]:
    args = number % ORDERS + 1, None, None, 50, 0, False
    return server.db.fetch(_STAGES["history"], *args)


async def median(server: Server, work: Callable[[int], Awaitable[object]]) -> float:
    """The median processor time of some work, in microseconds."""
    times = []
    for number in range(60):
        start = server.cpu()
        await work(number)
        times.append(server.cpu() - start)
    return statistics.median(times[10:])


async def measure(url: str, keys: int, rows: int, parts: set[str]) -> None:
    """Measure and print, in two databases of a server."""
    servers = {
        "before": await database(url, "growth_before", has_hours=False),
        "today": await database(url, "growth_today", has_hours=True),
    }
    if "keys" in parts:
        for server in servers.values():
            await fill(server, keys)
            await server.db.execute("vacuum analyze")
        await compare_creates(servers)
        await compare_ends(servers, keys)
    if "calls" in parts:
        await cost_of_calls(servers["today"], rows // 10)
    if "stages" in parts:
        await partition(servers["before"], rows)
        await cost_of_partitions(servers["today"])


def main() -> None:
    """Measure and print, with an embedded PostgreSQL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} cores for all, load average {os.getloadavg()[0]:.1f}; PostgreSQL with "
        f"fsync and full_page_writes on; {options.keys:,} keys of the last 24 hours at the start"
    )
    work = partial(measure, keys=options.keys, rows=options.rows, parts=set(options.parts))
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "pg") as cluster:
        asyncio.run(work(cluster.url()))


if __name__ == "__main__":
    main()
