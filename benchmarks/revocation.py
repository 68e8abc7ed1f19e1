"""How long after it was revoked a token is still accepted by any of four workers, under load.

`python benchmarks/revocation.py` starts `gateway serve --workers 4`, calls without pause with a
session's token over many connections, revokes it, and takes the time from the commit to the last
call that was begun later and accepted all the same: a hundred times with NOTIFY as it should be,
and some with listening connections that carry nothing any more. The baseline is a bare NOTIFY
from one connection to another. It prints a histogram of each.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

import httpx2
from noop import prepare
from propagation import PATIENCE, WORKERS, bare, gateway, report, started, wired

from gateway.database.connect import Connection, connect
from gateway.dev.postgres import Cluster
from gateway.identity import issue, tokens

TIMES = 100
TIMES_LOST = 5
CALLERS = 16
WARM_UP = 0.2
SETTLE = 0.5
SETTLE_LOST = 6.0
"""Seconds that the callers go on after the revocation."""

REVOKE = "update sessions set revoked_at = now() where token_hash = $1"
COUNT = "/services/statuses/count"


class Callers:
    """Call over and over; `accepted` is when the last call that was accepted was begun."""

    def __init__(self, http: httpx2.AsyncClient, token: str) -> None:
        self.accepted = 0.0
        self.calls = 0
        self._http = http
        self._headers = {"authorization": f"Bearer {token}"}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._call())

    async def _call(self) -> None:
        while True:
            begun = time.perf_counter()
            answer = await self._http.get(COUNT, headers=self._headers)
            self.calls += 1
            if answer.status_code == httpx2.codes.OK:
                self.accepted = max(self.accepted, begun)


async def once(connection: Connection, address: str, settle: float = SETTLE) -> tuple[float, int]:
    """Milliseconds from the commit to the last accepted call, 0 if there was none; and calls."""
    token = await issue.session(connection, "employee@example.com", "planoorder")
    # A client of its own: one whose calls were cancelled keeps their places.
    limits = httpx2.Limits(max_connections=CALLERS)
    async with httpx2.AsyncClient(base_url=address, limits=limits) as http:
        callers = Callers(http, token)
        running = asyncio.create_task(callers.run())
        async with asyncio.timeout(PATIENCE):
            while not callers.accepted:  # noqa: ASYNC110 - the callers go on all the time
                await asyncio.sleep(0.01)
        await asyncio.sleep(WARM_UP)
        await connection.execute(REVOKE, tokens.digest(token))
        revoked = time.perf_counter()
        await asyncio.sleep(settle)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return max(0.0, callers.accepted - revoked) * 1000, callers.calls


async def run(url: str, folder: Path) -> None:
    """Measure and print."""
    await prepare(url)
    connection = await connect(url)
    async with wired(url) as (wire, listen_url):
        with gateway(url, listen_url, folder / "data") as address:
            await started(connection)
            report("a bare NOTIFY", await bare(url))
            tell("NOTIFY", [await once(connection, address) for _ in range(TIMES)])
            lost = []
            for _ in range(TIMES_LOST):
                wire.silence()
                lost.append(await once(connection, address, SETTLE_LOST))
            tell("NOTIFY lost", lost)
    await connection.close()


def tell(name: str, found: list[tuple[float, int]]) -> None:
    """A histogram, and how many calls were made."""
    report(f"{name}: from the revocation to the last accepted call", [took for took, _ in found])
    print(f"{sum(calls for _, calls in found):,} calls")


def main() -> None:
    """Measure and print, on a PostgreSQL of its own."""
    print(
        f"{WORKERS} workers, {CALLERS} callers without pause, {os.cpu_count()} cores for all, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "postgres") as cluster:
        asyncio.run(run(cluster.url(), Path(name)))


if __name__ == "__main__":
    main()
