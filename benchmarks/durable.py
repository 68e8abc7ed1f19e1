"""Acknowledged means durable: whatever is killed, each create that was answered is in the database.

`python benchmarks/durable.py` creates stages over 64 connections without pause and meanwhile ends
PostgreSQL and a worker with `kill -9`, in turn, 20 times. Then it looks for the id and the text of
every answer, for a text that was written twice, and for an order whose status does not show its
newest stage. It prints counts, and exits 1 if something is lost, written twice, or half written.
"""

import argparse
import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
import uvloop
from bench.client import body_length
from harness import PATH
from noop import prepare
from propagation import gateway, started

from gateway.database.connect import Connection, connect
from gateway.dev.postgres import Cluster, EmbeddedError

CALLERS = 64
WORKERS = 2
DURABLE = {"fsync": "on", "full_page_writes": "on"}
PATIENCE = 60.0
PAUSE = 0.02
"""Seconds that a caller waits after a call that was not answered with 200."""

CALM = (0.3, 1.2)
"""Seconds between two kills."""

BY_TEXT = "select notes, array_agg(id) as ids from order_stages group by notes"
TORN = """
select count(*) from (
    select order_request_id, max(id) as newest from order_stages group by 1
) s full join order_statuses t using (order_request_id)
where s.newest is distinct from t.order_stage_id
"""


class Calls:
    """Creates without pause, each with a text of its own; `answered` are ids by text."""

    def __init__(self, port: int, token: str) -> None:
        self.answered: dict[str, int] = {}
        self.refused = 0
        self.broken = 0
        self._port = port
        self._token = token
        self._numbers = itertools.count()

    async def caller(self) -> None:
        """One caller, until it is cancelled."""
        while True:
            try:
                await self._over_one_connection()
            except (OSError, EOFError):
                self.broken += 1
            await asyncio.sleep(PAUSE)

    async def _over_one_connection(self) -> None:
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
            await asyncio.sleep(PAUSE)

    def _request(self, number: int, text: str) -> bytes:
        params = {"order_id": number % 100 + 1, "update_status": True, "stage": "scheduled"}
        body = orjson.dumps({**params, "notes": text, "token": self._token})
        head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


async def kill_postgres(cluster: Cluster, folder: Path) -> None:
    """End the postmaster, and start it again; its children leave it in their own time."""
    pid = int((folder / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            await asyncio.to_thread(_again, cluster)
        except EmbeddedError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return


def _again(cluster: Cluster) -> None:
    cluster.stop()
    cluster.start()


async def kill_worker() -> None:
    """End one of the workers, which its supervisor starts again."""
    # Looked for beside the loop: while it stood still, all that is in flight would be answered.
    pid = await asyncio.to_thread(_a_worker)
    os.kill(pid, signal.SIGKILL)


def _a_worker() -> int:
    [supervisor] = _children(os.getpid(), "gateway serve")
    return random.choice(_children(supervisor))


def _children(parent: int, named: str = "") -> list[int]:
    command = ["ps", "-axww", "-o", "pid=,ppid=,command="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [int(pid) for pid, of, words in lines if int(of) == parent and named in words]


async def until_answered(calls: Calls, more: int) -> float:
    """Seconds until so many more calls are answered."""
    began, need = time.monotonic(), len(calls.answered) + more
    while len(calls.answered) < need:
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError("no call is answered any more")
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def until_calm(calls: Calls) -> None:
    """Wait until every caller is served: one who is refused has nothing in flight to lose."""
    refused = -1
    while refused != calls.refused:
        refused = calls.refused
        await until_answered(calls, CALLERS)
        await asyncio.sleep(random.uniform(*CALM))


async def torment(calls: Calls, cluster: Cluster, folder: Path, kills: int) -> None:
    """Kill one and the other in turn, with calls in flight."""
    callers = [asyncio.create_task(calls.caller()) for _ in range(CALLERS)]
    for number in range(kills):
        await until_calm(calls)
        if number % 2:
            await kill_worker()
        else:
            await kill_postgres(cluster, folder)
        seconds = await until_answered(calls, 1)
        victim = "a worker" if number % 2 else "PostgreSQL"
        print(f"{number + 1:3} kill -9 of {victim:10} answered again after {seconds:.2f} s")
    await until_calm(calls)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)


async def judge(calls: Calls, db: Connection) -> bool:
    """Compare what was answered with what is there."""
    rows = {row["notes"]: row["ids"] for row in await db.fetch(BY_TEXT)}
    lost = [text for text, made in calls.answered.items() if made not in rows.get(text, ())]
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
    """Prepare, torment, judge."""
    token = await prepare(cluster.url())
    with gateway(cluster.url(), cluster.url(), folder / "data", workers=WORKERS) as address:
        db = await connect(cluster.url())
        await started(db, workers=WORKERS)
        await db.close()
        calls = Calls(int(address.rpartition(":")[2]), token)
        await torment(calls, cluster, folder / "pg", kills)
    db = await connect(cluster.url())
    held = await judge(calls, db)
    await db.close()
    return held


def main() -> None:
    """Exit 0 if everything that was answered is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="how often something is killed (20)")
    parser.add_argument(
        "--control", action="store_true", help="do not flush commits: losses are to be found"
    )
    options = parser.parse_args()
    commits = "off" if options.control else "on"
    print(f"{CALLERS} callers, {WORKERS} workers, fsync on, synchronous_commit {commits}\n")
    with tempfile.TemporaryDirectory() as name:
        cluster = Cluster(Path(name) / "pg", options={**DURABLE, "synchronous_commit": commits})
        cluster.start()
        try:
            held = uvloop.run(run(cluster, Path(name), options.kills))
        finally:
            cluster.stop()
    sys.exit(not held)


if __name__ == "__main__":
    main()
