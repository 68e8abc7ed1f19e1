"""How long four workers under load still accept a token after its revocation.

`python benchmarks/revocation.py` starts `gateway serve --workers 4`, calls without pause with a
session's token over many connections, and revokes it. It measures the time from the commit to the
start of the last call that was still accepted: a hundred times with a working NOTIFY, and a few
times with listening connections that carry no more data. The baseline is a bare NOTIFY from one
connection to another. It prints a histogram of each.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

import httpx2
from noop import prepare
from propagation import (
    TIMEOUT,
    WORKERS,
    measure_bare_notify,
    proxied,
    report,
    running_gateway,
    wait_until_started,
)

from gateway.database.connect import Connection, connect
from gateway.dev.postgres import Cluster
from gateway.identity import issue, tokens

TIMES = 100
TIMES_LOST = 5
CALLERS = 16
WARM_UP = 0.2
AFTER_REVOCATION = 0.5
AFTER_REVOCATION_LOST = 6.0
"""Seconds for which the callers continue after the revocation."""

REVOKE = "update gateway.sessions set revoked_at = now() where token_hash = $1"
COUNT = "/services/statuses/count"


class Callers:
    """Callers without pause; `last_accepted` is when the last accepted call was started."""

    def __init__(self, http: httpx2.AsyncClient, token: str) -> None:
        self.last_accepted = 0.0
        self.calls = 0
        self._http = http
        self._headers = {"authorization": f"Bearer {token}"}

    async def run(self) -> None:
        """Call until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._call())

    async def _call(self) -> None:
        while True:
            started = time.perf_counter()
            answer = await self._http.get(COUNT, headers=self._headers)
            self.calls += 1
            if answer.status_code == httpx2.codes.OK:
                self.last_accepted = max(self.last_accepted, started)


async def measure_once(
    connection: Connection, address: str, seconds: float = AFTER_REVOCATION
) -> tuple[float, int]:
    """Milliseconds from the commit to the last accepted call, 0 if none; and the calls made."""
    token = await issue.session(connection, "employee@example.com", "planoorder")
    # A client for each time: cancelled calls keep their places in the connection limit.
    limits = httpx2.Limits(max_connections=CALLERS)
    async with httpx2.AsyncClient(base_url=address, limits=limits) as http:
        callers = Callers(http, token)
        running = asyncio.create_task(callers.run())
        async with asyncio.timeout(TIMEOUT):
            while not callers.last_accepted:  # noqa: ASYNC110 - the callers run all the time
                await asyncio.sleep(0.01)
        await asyncio.sleep(WARM_UP)
        await connection.execute(REVOKE, tokens.digest(token))
        revoked = time.perf_counter()
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return max(0.0, callers.last_accepted - revoked) * 1000, callers.calls


async def run(url: str, folder: Path) -> None:
    """Measure and print."""
    await prepare(url)
    connection = await connect(url)
    async with proxied(url) as (proxy, listen_url):
        with running_gateway(url, listen_url, folder / "data") as address:
            await wait_until_started(connection)
            report("a bare NOTIFY", await measure_bare_notify(url))
            times = [await measure_once(connection, address) for _ in range(TIMES)]
            report_accepted("NOTIFY", times)
            times = []
            for _ in range(TIMES_LOST):
                proxy.silence()
                times.append(await measure_once(connection, address, AFTER_REVOCATION_LOST))
            report_accepted("NOTIFY lost", times)
    await connection.close()


def report_accepted(name: str, times: list[tuple[float, int]]) -> None:
    """Print a histogram, and the number of calls."""
    milliseconds = [accepted for accepted, _ in times]
    report(f"{name}: from the revocation to the last accepted call", milliseconds)
    print(f"{sum(calls for _, calls in times):,} calls")


def main() -> None:
    """Measure and print, with an embedded PostgreSQL."""
    print(
        f"{WORKERS} workers, {CALLERS} callers without pause, {os.cpu_count()} cores for all, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "postgres") as cluster:
        asyncio.run(run(cluster.url(), Path(name)))


if __name__ == "__main__":
    main()
