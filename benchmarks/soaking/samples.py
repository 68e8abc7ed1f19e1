"""What a process uses, from /proc, and what the database holds."""

import os
from pathlib import Path
from typing import Any

from bench.machine import processor_seconds
from bench.processes import children_of

from gateway.database.connect import Connection
from gateway.database.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


def gateway_processes() -> list[int]:
    """The supervisor's process id, and those of its workers."""
    [supervisor] = children_of(os.getpid(), "gateway serve")
    return [supervisor, *sorted(children_of(supervisor))]


def process(pid: int) -> dict[str, Any]:
    """Resident MiB, descriptors, threads and processor seconds; only the pid if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        fds = len([*Path(f"/proc/{pid}/fd").iterdir()])
    except OSError:
        return {"pid": pid}
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {
        "pid": pid,
        "fds": fds,
        "rss": round(int(fields["VmRSS"].split()[0]) / 1024, 2),
        "threads": int(fields["Threads"]),
        "cpu": processor_seconds(pid),
    }


async def database(connection: Connection) -> dict[str, Any]:
    """Connections and the size of the database in MiB."""
    row = await connection.fetchrow(_SQL["activity"])
    return {name: int(value) for name, value in (row or {}).items()}


async def tables(connection: Connection) -> list[tuple[str, int, float]]:
    """The name, the estimated rows and the size in MiB of each table, the largest first."""
    await connection.execute("analyze")
    rows = await connection.fetch(_SQL["tables"])
    return [(row["name"], row["rows"], float(row["mib"])) for row in rows]


async def notifications(connection: Connection) -> list[tuple[str, int]]:
    """The kind and the count of each notification."""
    return [(row["kind"], row["count"]) for row in await connection.fetch(_SQL["notifications"])]
