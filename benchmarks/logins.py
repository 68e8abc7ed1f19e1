"""What 100 log-ins a second cost the other calls of a worker.

`python benchmarks/logins.py` calls a route that queries the database at a fixed rate, whether or
not answers come, and measures each call from the moment it was due; in turn without log-ins and
with 100 log-ins a second. The thread for passwords cannot hash that many, so log-ins that would
wait too long in its queue are refused at once. It prints medians and p99 of the other calls.
"""

import asyncio
import base64
import collections
import itertools
import multiprocessing
import os
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import httpx2
import orjson
import uvloop
from changes import RATE, FixedRateLoad, percentile
from noop import prepare
from propagation import running_gateway, wait_until_started

from gateway.database.connect import connect
from gateway.dev.demo import APPLICATION, PASSWORD
from gateway.dev.postgres import Cluster

SECONDS = 5.0
ROUNDS = 3
LOGINS = 100
NO_LIMITS = {"GATEWAY_ACCOUNT_GUESSES": "100000", "GATEWAY_ADDRESS_GUESSES": "100000"}
EMAILS = ("employee@example.com", "client@example.com", "liaison@example.com")


async def log_in(http: httpx2.AsyncClient, email: str) -> str:
    """Log in once; return the status."""
    params = {"email": email, "password": PASSWORD, "application": APPLICATION}
    body = base64.b64encode(orjson.dumps(params))
    answer = await http.post("/api/v1/sessions/create", content=body)
    return str(answer.json()["status"])


def log_in_steadily(url: str, seconds: float) -> collections.Counter[str]:
    """Log in `LOGINS` times a second, and count the statuses; runs in its own process."""
    return uvloop.run(_log_in_steadily(url, seconds))


async def _log_in_steadily(url: str, seconds: float) -> collections.Counter[str]:
    emails, tasks = itertools.cycle(EMAILS), []
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=30) as http:
        for _ in range(int(seconds * LOGINS)):
            tasks.append(asyncio.create_task(log_in(http, next(emails))))
            await asyncio.sleep(1 / LOGINS)
        return collections.Counter(await asyncio.gather(*tasks))


async def run_phase(
    url: str, token: str, processes: ProcessPoolExecutor, *, logins: bool
) -> tuple[list[float], dict[str, int]]:
    """Latencies of the other calls in milliseconds, and the log-ins by status."""
    head = f"GET /services/statuses/count HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}"
    load = FixedRateLoad(itertools.repeat(f"{head}\r\n\r\n".encode()))
    statuses = processes.submit(log_in_steadily, url, SECONDS if logins else 0)
    await load.run(int(url.rpartition(":")[2]), SECONDS)
    return load.latencies, await asyncio.wrap_future(statuses)


async def run(url: str, folder: Path) -> None:
    """Measure and print."""
    token = await prepare(url)
    connection = await connect(url)
    latencies: dict[bool, list[float]] = {False: [], True: []}
    statuses: collections.Counter[str] = collections.Counter()
    with (
        running_gateway(url, url, folder / "data", workers=1, **NO_LIMITS) as address,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes,
    ):
        await wait_until_started(connection, workers=1)
        await run_phase(address, token, processes, logins=True)
        for _, logins in itertools.product(range(ROUNDS), (False, True)):
            times, phase_statuses = await run_phase(address, token, processes, logins=logins)
            latencies[logins] += times
            statuses.update(phase_statuses)
    await connection.close()
    report(latencies, statuses)


def report(latencies: dict[bool, list[float]], statuses: collections.Counter[str]) -> None:
    print(f"{'log-ins':14}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'p99 x':>8}")
    base = percentile(latencies[False], 0.99)
    for logins, times in latencies.items():
        p99 = percentile(times, 0.99)
        print(
            f"{'100 a second' if logins else 'none':14}{statistics.median(times):9.2f}"
            f"{p99:9.2f}{max(times):9.1f}{p99 / base:8.2f}"
        )
    print("\nlog-ins ended with " + ", ".join(f"{slug} {n}" for slug, n in statuses.most_common()))


def main() -> None:
    """Measure and print, with an embedded PostgreSQL."""
    print(
        f"one worker, {RATE} other calls a second, {ROUNDS} x {SECONDS:.0f} s, "
        f"{os.cpu_count()} cores for all, load average {os.getloadavg()[0]:.1f}\n"
    )
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "postgres") as cluster:
        uvloop.run(run(cluster.url(), Path(name)))


if __name__ == "__main__":
    main()
