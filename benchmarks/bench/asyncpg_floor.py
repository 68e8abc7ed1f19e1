"""The bare round trips of one create: asyncpg, one connection, no server; in a process of its own.

Prints its finding as one line of JSON.
"""

import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import uvloop

from bench.calls import BODY
from bench.database import ORDERS, REQUEST_OF_ORDER
from bench.targets import BASELINES
from gateway.database.connect import connect
from gateway.database.sql import load_queries
from services import order_stages

Step = Callable[[int], Awaitable[Any]]


async def function(db: Any) -> Step:
    """One statement, which commits by itself."""
    create = await db.prepare("select bench_create($1, $2, $3, $4)")
    return lambda order: create.fetchval(order, order + REQUEST_OF_ORDER, BODY["notes"], "n" * 100)


async def statement(db: Any) -> Step:
    """The gateway's own statement with one call, which commits by itself."""
    create = await db.prepare(load_queries(order_stages.__file__)["create"])
    params = {"stage": BODY["stage"], "update_status": True, "notes": BODY["notes"]}
    given = {**params, **BODY["appointment"], "order_notes": BODY["order"]["notes"]}
    ticket = {"route": "order_stages.create", "request_id": "0" * 32, "seconds": 10}
    call = {**given, "i": 0, "valid": True, "caller_id": 1, "ticket": ticket}
    return lambda order: create.fetch([{**call, "order_id": order}], False)  # noqa: FBT003


async def transaction(db: Any) -> Step:
    """begin, insert, upsert, commit."""
    stage, status = [
        await db.prepare((BASELINES / "sql" / f"{name}.sql").read_text())
        for name in ("stage", "status")
    ]

    async def step(order: int) -> None:
        request = order + REQUEST_OF_ORDER
        async with db.transaction():
            made = await stage.fetchrow(
                *(order, request, "scheduled", None, None, None, 1, "Ada Fields", BODY["notes"]),
                *(None, None),
            )
            given = [request, order, made["id"], made["stage"], None, made["stage_start_at"]]
            given += [1, "02134", 1, "Ada Fields", 1, None, None, "10:00", None, None, None]
            await status.fetchrow(*given, "n" * 100, *[None] * 7)

    return step


async def measure(url: str, kind: str, seconds: float) -> dict[str, float]:
    """One after the other, for so long."""
    db = await connect(url)
    steps = {"function": function, "statement": statement, "transaction": transaction}
    step = await steps[kind](db)
    chance, took, began = random.Random(1), [], time.perf_counter()
    while time.perf_counter() - began < seconds:
        since = time.perf_counter()
        await step(chance.choice(ORDERS))
        took.append(time.perf_counter() - since)
    whole = time.perf_counter() - began
    await db.close()
    took.sort()
    p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
    return {"rate": len(took) / whole, "p50": p50, "p99": p99}


def main() -> None:
    """Measure what the arguments say: address, kind, seconds."""
    found = uvloop.run(measure(sys.argv[1], sys.argv[2], float(sys.argv[3])))
    sys.stdout.write(orjson.dumps(found).decode() + "\n")


if __name__ == "__main__":
    main()
