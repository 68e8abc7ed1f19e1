"""Measure the documentation's pages and its search, with few routes and with very many.

A worker without a database serves a table of generated routes in this process; each page is asked
for over ASGI. The console's tab of routes uses the same search.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import generated_routes
import harness
import httpx2
import uvloop

from gateway.manifest.check import check
from gateway.registry.records import route_from, service_from
from gateway.registry.schema import interned
from gateway.registry.table import Table

COUNTS = (21, 10_000, 100_000)
REPEATS = 40


def build_table(file: Path, revision: int) -> Table:
    """The routes of a manifest."""
    table = Table(revision)
    for desired in check(file):
        table.services = {
            name: service_from(name, record) for name, record in desired.services.items()
        }
        for name, route in desired.routes.items():
            table.add(route_from(name, route.record, interned(route.params)))
    return table


def pages(table: Table) -> dict[str, list[str]]:
    """The addresses of each kind of page; they differ, so that no answer comes from a cache."""
    routes = [*table.routes.values()][:: max(1, len(table.routes) // REPEATS)][:REPEATS]
    service, action = routes[-1].service, routes[-1].name.partition(".")[2]
    return {
        "index": [f"/documentation?page={number % 3 + 1}" for number in range(REPEATS)],
        "search, a word of every route": [f"/documentation?q={service[:5]}"] * REPEATS,
        "search, a word of one service": [f"/documentation?q={service}"] * REPEATS,
        "search, two words": [f"/documentation?q={service}+{action}"] * REPEATS,
        "search, a misspelt word": [f"/documentation?q={service}x"] * REPEATS,
        "a route's page": [f"/documentation{route.path}?method={route.method}" for route in routes],
    }


async def measure(http: httpx2.AsyncClient, paths: Iterable[str]) -> tuple[list[float], int]:
    """Seconds of CPU time of each page, sorted, and the bytes of the largest."""
    times, size = [], 0
    for path in paths:
        before = time.process_time()
        answer = await http.get(path)
        times.append(time.process_time() - before)
        assert answer.status_code == httpx2.codes.OK, (path, answer.status_code)
        size = max(size, len(answer.content))
    return sorted(times), size


async def main() -> None:
    """Print a line for each kind of page and number of routes."""
    load = " ".join(f"{average:.1f}" for average in os.getloadavg())
    print(f"{os.cpu_count()} processors, load averages {load}; CPU time of {REPEATS} pages in ms")
    print(f"{'routes':>8}  {'page':32} {'median':>7} {'longest':>8} {'KiB':>5}")
    worker = harness.worker()
    transport = httpx2.ASGITransport(worker.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http:
        for revision, count in enumerate(COUNTS, start=2):
            with tempfile.TemporaryDirectory() as name:
                file = generated_routes.write(Path(name), count)
                worker.registry.current = table = build_table(file, revision)
            await http.get("/documentation")
            for kind, paths in pages(table).items():
                times, size = await measure(http, paths)
                median, longest = statistics.median(times) * 1e3, times[-1] * 1e3
                print(f"{count:8,}  {kind:32} {median:7.2f} {longest:8.2f} {size / 1024:5.0f}")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
