"""Checks that every acknowledged create survives `kill -9` of PostgreSQL and of workers.

`python benchmarks/durable.py` creates stages over 64 connections without pause, and kills
PostgreSQL and a worker in turn, 20 times. Then it looks in the database for the id and the text of
every answer, for texts that were written twice, and for orders whose status does not show their
newest stage. It prints counts, and exits 1 if a create is lost, written twice, or half written.
"""

import argparse
import asyncio
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import orjson
import uvloop
from bench.client import body_length
from bench.processes import children_of
from harness import PATH, post
from noop import prepare
from propagation import running_gateway, wait_until_started

from gateway.database.connect import Connection, connect
from gateway.dev.postgres import Cluster, EmbeddedError

CALLERS = 64
WORKERS = 2
DURABLE = {"fsync": "on", "full_page_writes": "on"}
RECOVERY_TIMEOUT = 60.0
RETRY_DELAY = 0.02
"""Seconds that a caller waits after a call without an answer of 200."""

KILL_DELAY = (0.3, 1.2)
"""Seconds, at least and at most, between the recovery from a kill and the next kill."""

BY_TEXT = "select notes, array_agg(id) as ids from order_stages group by notes"
TORN = """
select count(*) from (
    select order_request_id, max(id) as newest from order_stages group by 1
) s full join order_statuses t using (order_request_id)
where s.newest is distinct from t.order_stage_id
"""


class Calls:
    """Creates without pause, each with a unique text; `answered` maps texts to ids."""

    def __init__(self, port: int, token: str) -> None:
        self.answered: dict[str, int] = {}
        self.refused = 0
        self.broken = 0
        self._port = port
        self._token = token
        self._numbers = itertools.count()

    async def run_caller(self) -> None:
        """Call until cancelled."""
        while True:
            try:
                await self._call_over_one_connection()
            except (OSError, EOFError):
                self.broken += 1
            await asyncio.sleep(RETRY_DELAY)

    async def _call_over_one_connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while True:
                await self._call(reader, writer)
        finally:
            writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._numbers)
        text = f"call {number}"
        writer.write(self._request(number, text))
        head = await reader.readuntil(b"\r\n\r\n")
        body = orjson.loads(await reader.readexactly(body_length(head)))
        if body["code"] == 200:
            self.answered[text] = body["data"]["order_stage"]["id"]
        else:
            self.refused += 1
            await asyncio.sleep(RETRY_DELAY)

    def _request(self, number: int, text: str) -> bytes:
        params = {"order_id": number % 100 + 1, "update_status": True, "stage": "scheduled"}
        return post(PATH, {**params, "notes": text, "token": self._token})


async def kill_postgres(cluster: Cluster, folder: Path) -> None:
    """Kill the postmaster and start it again."""
    pid = int((folder / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + RECOVERY_TIMEOUT
    # PostgreSQL refuses to start while children of the killed postmaster are still running.
    while True:
        try:
            await asyncio.to_thread(_restart, cluster)
        except EmbeddedError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return


def _restart(cluster: Cluster) -> None:
    cluster.stop()
    cluster.start()


async def kill_worker() -> None:
    """Kill one of the workers, which the supervisor starts again."""
    # In a thread: while the loop waited for `ps`, every call in flight would be answered.
    pid = await asyncio.to_thread(_random_worker)
    os.kill(pid, signal.SIGKILL)


def _random_worker() -> int:
    [supervisor] = children_of(os.getpid(), "gateway serve")
    return random.choice(children_of(supervisor))


async def wait_for_answers(calls: Calls, count: int) -> float:
    """Wait until `count` more calls are answered; return the seconds that this took."""
    started, target = time.monotonic(), len(calls.answered) + count
    while len(calls.answered) < target:
        if time.monotonic() - started > RECOVERY_TIMEOUT:
            raise TimeoutError("the gateway no longer answers calls with 200")
        await asyncio.sleep(0.01)
    return time.monotonic() - started


async def wait_until_all_served(calls: Calls) -> None:
    """Wait until no caller is refused: a refused caller has nothing in flight that can be lost."""
    refused = -1
    while refused != calls.refused:
        refused = calls.refused
        await wait_for_answers(calls, CALLERS)
        await asyncio.sleep(random.uniform(*KILL_DELAY))


async def call_and_kill(calls: Calls, cluster: Cluster, folder: Path, kills: int) -> None:
    """Kill PostgreSQL and a worker in turn, with calls in flight."""
    callers = [asyncio.create_task(calls.run_caller()) for _ in range(CALLERS)]
    for number in range(kills):
        await wait_until_all_served(calls)
        if number % 2:
            await kill_worker()
        else:
            await kill_postgres(cluster, folder)
        seconds = await wait_for_answers(calls, 1)
        victim = "a worker" if number % 2 else "PostgreSQL"
        print(f"{number + 1:3} kill -9 of {victim:10} answered again after {seconds:.2f} s")
    await wait_until_all_served(calls)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)


async def compare(calls: Calls, db: Connection) -> bool:
    """Compare the answers with the rows of the database; return whether all agree."""
    rows = {row["notes"]: row["ids"] for row in await db.fetch(BY_TEXT)}
    lost = [text for text, row_id in calls.answered.items() if row_id not in rows.get(text, ())]
    twice = [text for text, ids in rows.items() if len(ids) > 1]
    torn = await db.fetchval(TORN)
    print(
        f"\n{len(calls.answered):,} creates answered, {len(lost)} of them lost, "
        f"{len(twice)} written twice, {torn} orders whose status is not their newest stage\n"
        f"{len(rows) - len(calls.answered) + len(lost):,} written whose answer did not arrive, "
        f"{calls.refused:,} refused, {calls.broken:,} connections broken"
    )
    return not (lost or twice or torn)


async def run(cluster: Cluster, folder: Path, kills: int) -> bool:
    """Call and kill; return whether every answered create is in the database."""
    token = await prepare(cluster.url())
    url = cluster.url()
    with running_gateway(url, url, folder / "data", workers=WORKERS) as address:
        db = await connect(url)
        await wait_until_started(db, workers=WORKERS)
        await db.close()
        calls = Calls(int(address.rpartition(":")[2]), token)
        await call_and_kill(calls, cluster, folder / "pg", kills)
    db = await connect(cluster.url())
    is_durable = await compare(calls, db)
    await db.close()
    return is_durable


def main() -> None:
    """Exit 0 if every answered create is in the database, whole and once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="how many processes to kill (20)")
    parser.add_argument(
        "--control", action="store_true", help="do not flush commits; must then find losses"
    )
    options = parser.parse_args()
    commits = "off" if options.control else "on"
    print(f"{CALLERS} callers, {WORKERS} workers, fsync on, synchronous_commit {commits}\n")
    with tempfile.TemporaryDirectory() as name:
        cluster = Cluster(Path(name) / "pg", options={**DURABLE, "synchronous_commit": commits})
        cluster.start()
        try:
            is_durable = uvloop.run(run(cluster, Path(name), options.kills))
        finally:
            cluster.stop()
    sys.exit(not is_durable)


if __name__ == "__main__":
    main()
