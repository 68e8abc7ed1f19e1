"""What 50 calls that wait for a hanging Mandrill cost the event loop of their worker.

`python benchmarks/mail.py` lets a task of a worker's loop sleep 1 ms over and over, and measures by
how much it oversleeps while another task calls a route that queries the database; in turn without
mail and with 50 calls that wait for their mail. A stand-in for Mandrill in another process accepts
as many mails as the worker sends at once, and does not answer them. The calls are made in the
worker's process, without a server.
"""

import asyncio
import contextlib
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import uvloop
from changes import percentile
from harness import PATH
from noop import prepare, serve_asgi

from gateway.database.connect import Connection, connect
from gateway.dev.mandrill import API, StandIn
from gateway.dev.postgres import Cluster
from gateway.runtime import log
from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.settings import Settings

HANGING = 50
SECONDS = 5.0
ROUNDS = 3
SLEEP = 0.001
COUNT_WAITING = "select count(*) from gateway.outbox where state = 'waiting'"


def serve_stand_in(listener: socket.socket) -> None:
    """Serve the stand-in for Mandrill, which takes half a minute to answer mail to `slow@`."""
    serve_asgi(listener, StandIn().app)


async def measure_lags(seconds: float) -> list[float]:
    """Sleep over and over; return by how many milliseconds each sleep was too long."""
    lags: list[float] = []
    # Not the loop's own clock, which counts whole milliseconds.
    end = time.perf_counter() + seconds
    while (started := time.perf_counter()) < end:
        await asyncio.sleep(SLEEP)
        lags.append((time.perf_counter() - started - SLEEP) * 1000)
    return lags


async def count_answers(http: httpx2.AsyncClient, token: str) -> int:
    """Call another route over and over until cancelled; return the number of answers."""
    count = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            answer = await http.get(
                "/services/statuses/count", headers={"authorization": f"Bearer {token}"}
            )
            assert answer.status_code == 200
            count += 1
            await asyncio.sleep(0.01)
    return count


@contextlib.asynccontextmanager
async def hanging_calls(
    http: httpx2.AsyncClient, token: str, db: Connection
) -> AsyncIterator[None]:
    """Keep `HANGING` calls waiting for their mail, for the length of the block."""
    params = {"token": token, "update_status": True, "stage": "s", "event_slug": "stage-changed"}
    calls = [
        asyncio.create_task(http.post(PATH, json={**params, "order_id": number}))
        for number in range(1, HANGING + 1)
    ]
    while await db.fetchval(COUNT_WAITING) < HANGING:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    yield
    assert not any(call.done() for call in calls), "a call did not wait for its mail"
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await db.execute("update gateway.outbox set state = 'discarded'")


async def run_phase(
    settings: Settings, token: str, db: Connection, *, hang: bool
) -> tuple[list[float], int]:
    """The lags of a worker's loop in milliseconds, and the number of other calls it answered."""
    worker = Worker(settings)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(worker.running())
        transport = httpx2.ASGITransport(worker.app)
        http = httpx2.AsyncClient(transport=transport, base_url="http://gateway", timeout=30)
        await stack.enter_async_context(http)
        if hang:
            await stack.enter_async_context(hanging_calls(http, token, db))
        await asyncio.sleep(0.5)
        other_calls = asyncio.create_task(count_answers(http, token))
        lags = await measure_lags(SECONDS)
        other_calls.cancel()
        return lags, await other_calls


async def run(url: str, folder: str, mandrill: str) -> None:
    """Measure and print."""
    token = await prepare(url)
    environment = {
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_DATA_DIR": folder,
        "GATEWAY_MANDRILL_URL": mandrill + API,
        "GATEWAY_MANDRILL_API_KEY": "benchmark",
    }
    settings = Settings.load(environment)
    db = await connect(url)
    await db.execute("update gateway.users set email = 'slow@example.com' where id = 2")
    lags: dict[bool, list[float]] = {False: [], True: []}
    counts = {False: 0, True: 0}
    for _ in range(ROUNDS):
        for hang in (False, True):
            times, count = await run_phase(settings, token, db, hang=hang)
            lags[hang] += times
            counts[hang] += count
    await db.close()
    report(lags, counts)


def report(lags: dict[bool, list[float]], counts: dict[bool, int]) -> None:
    print(f"{'mail':14}{'sleeps':>8}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'other calls/s':>15}")
    for hang, times in lags.items():
        print(
            f"{f'{HANGING} hanging' if hang else 'none':14}{len(times):8}"
            f"{statistics.median(times):9.2f}{percentile(times, 0.99):9.2f}{max(times):9.1f}"
            f"{counts[hang] / SECONDS / ROUNDS:15.0f}"
        )


def main() -> None:
    """Measure and print, with an embedded PostgreSQL."""
    log.configure("critical")
    print(
        f"one worker, {HANGING} calls, {ROUNDS} x {SECONDS:.0f} s, {os.cpu_count()} cores for all, "
        f"load average {os.getloadavg()[0]:.1f}\n"
    )
    listener = server.listen("127.0.0.1", 0)
    stand_in = multiprocessing.get_context("fork").Process(target=serve_stand_in, args=(listener,))
    stand_in.start()
    try:
        with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "pg") as cluster:
            uvloop.run(run(cluster.url(), folder, server.url(listener)))
    finally:
        stand_in.terminate()
        stand_in.join()


if __name__ == "__main__":
    main()
