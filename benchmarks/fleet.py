"""What a fleet costs a database that serves no call, and how soon it serves a change.

`make fleet` starts twenty workers, as five gateways of four, on one embedded PostgreSQL. It prints
the transactions a second and the WAL of the idle fleet, its connections, and the time from `apply`
to the last worker that serves the revision. `make fleet WORKERS=40` sets the number of workers.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
from collections import Counter
from pathlib import Path

import generated_routes
from propagation import (
    WORKERS,
    apply_change,
    running_gateway,
    wait_until_served,
    wait_until_started,
)
from routes import create_database, fill

from gateway.database.connect import Connection, connect
from gateway.dev.postgres import Cluster

FLEET = 20
ROUTES = 1_000
CHANGES = 20
CHANGE_INTERVAL = 0.5
IDLE = 60.0
"""Seconds for which the idle fleet is measured: a multiple of each of its intervals."""

SETTLE = 10.0
"""Seconds until a fleet that has started is idle."""

CONNECTIONS = """
select split_part(application_name, ' ', 2) as purpose, count(*) from pg_stat_activity
where datname = current_database() and application_name like 'gateway %'
    and pid <> pg_backend_pid()
group by 1 order by 2 desc, 1
"""
COUNTERS = """
select extract(epoch from clock_timestamp())::float8 as at,
       xact_commit + xact_rollback as transactions,
       pg_current_wal_insert_lsn() - '0/0'::pg_lsn as wal
from pg_stat_database where datname = current_database()
"""


async def print_connections(connection: Connection, workers: int) -> None:
    counts = Counter({row["purpose"]: row["count"] for row in await connection.fetch(CONNECTIONS)})
    for purpose, count in counts.items():
        print(f"{count:6}  {purpose}")
    print(f"{counts.total():6}  connections, {counts.total() / workers:.1f} a worker")


async def print_idle(connection: Connection, workers: int, seconds: float) -> None:
    """Print the transactions a second while no call is made; workers report their own late."""
    before = await connection.fetchrow(COUNTERS)
    await asyncio.sleep(seconds)
    after = await connection.fetchrow(COUNTERS)
    assert before
    assert after
    passed = after["at"] - before["at"]
    # One of them is that of the first query here.
    rate = (after["transactions"] - before["transactions"] - 1) / passed
    wal = float(after["wal"] - before["wal"]) / passed
    print(
        f"idle for {passed:.0f} s: {rate:.1f} transactions a second, "
        f"{rate / workers:.2f} a worker; {wal / 1000:.1f} kB of WAL a second"
    )


async def print_propagation(connection: Connection, folder: Path) -> None:
    times = []
    for _ in range(CHANGES):
        times.append(await wait_until_served(connection, await apply_change(connection, folder)))
        await asyncio.sleep(CHANGE_INTERVAL)
    print(
        f"from apply to the last worker: {len(times)} changes, "
        f"median {statistics.median(times):.0f} ms, longest {max(times):.0f} ms"
    )


async def run(url: str, folder: Path, workers: int, seconds: float) -> None:
    """Measure and print."""
    connection = await connect(url)
    try:
        with contextlib.ExitStack() as running:
            for number in range(-(-workers // WORKERS)):
                count = min(WORKERS, workers - number * WORKERS)
                running.enter_context(running_gateway(url, url, folder / f"data-{number}", count))
            await wait_until_started(connection, workers)
            await asyncio.sleep(SETTLE)
            await print_idle(connection, workers, seconds)
            await print_connections(connection, workers)
            await print_propagation(connection, folder)
    finally:
        await connection.close()


def main() -> None:
    """Measure and print, with an embedded PostgreSQL."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, default=FLEET)
    parser.add_argument("--seconds", type=float, default=IDLE, help="of the idle fleet")
    options = parser.parse_args()
    print(
        f"{options.workers} workers, {ROUTES:,} routes; {os.cpu_count()} cores for all, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    size = {"max_connections": str(100 + 30 * options.workers)}
    with (
        tempfile.TemporaryDirectory() as name,
        Cluster(Path(name) / "postgres", options=size) as cluster,
    ):
        folder = Path(name)
        url = asyncio.run(create_database(cluster, "served"))
        asyncio.run(fill(url, generated_routes.write(folder / "many", ROUTES)))
        asyncio.run(run(url, folder, options.workers, options.seconds))


if __name__ == "__main__":
    main()
