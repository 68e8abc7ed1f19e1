"""The floor under one create: its SQL round trips through asyncpg alone, without a server.

Runs in its own process with one connection, and prints the result as one line of JSON.
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

CreateOrder = Callable[[int], Awaitable[Any]]


async def function(db: Any) -> CreateOrder:
    """One call of `bench_create`, which commits by itself."""
    create = await db.prepare("select bench_create($1, $2, $3, $4)")
    return lambda order: create.fetchval(order, order + REQUEST_OF_ORDER, BODY["notes"], "n" * 100)


async def statement(db: Any) -> CreateOrder:
    """The gateway's own statement for a batch of one call, which commits by itself."""
    create = await db.prepare(load_queries(order_stages.__file__)["create"])
    params = {"stage": BODY["stage"], "update_status": True, "notes": BODY["notes"]}
    values = {**params, **BODY["appointment"], "order_notes": BODY["order"]["notes"]}
    ticket = {"route": "order_stages.create", "request_id": "0" * 32, "seconds": 10}
    call = {**values, "i": 0, "valid": True, "caller_id": 1, "ticket": ticket}
    return lambda order: create.fetch([{**call, "order_id": order}], False)  # noqa: FBT003


async def transaction(db: Any) -> CreateOrder:
    """begin, insert, upsert, commit."""
    stage, status = [
        await db.prepare((BASELINES / "sql" / f"{name}.sql").read_text())
        for name in ("stage", "status")
    ]

    async def create_order(order: int) -> None:
        request = order + REQUEST_OF_ORDER
        async with db.transaction():
            row = await stage.fetchrow(
                *(order, request, "scheduled", None, None, None, 1, "Ada Fields", BODY["notes"]),
                *(None, None),
            )
            values = [request, order, row["id"], row["stage"], None, row["stage_start_at"]]
            values += [1, "02134", 1, "Ada Fields", 1, None, None, "10:00", None, None, None]
            await status.fetchrow(*values, "n" * 100, *[None] * 7)

    return create_order


async def measure(url: str, kind: str, seconds: float) -> dict[str, float]:
    """Run creates one after the other; the latencies are in milliseconds."""
    db = await connect(url)
    kinds = {"function": function, "statement": statement, "transaction": transaction}
    create_order = await kinds[kind](db)
    rng, latencies, started = random.Random(1), [], time.perf_counter()
    while time.perf_counter() - started < seconds:
        sent = time.perf_counter()
        await create_order(rng.choice(ORDERS))
        latencies.append(time.perf_counter() - sent)
    elapsed = time.perf_counter() - started
    await db.close()
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    return {"rate": len(latencies) / elapsed, "p50": p50, "p99": p99}


def main() -> None:
    """Measure; the arguments are the database's address, the kind of create, and seconds."""
    result = uvloop.run(measure(sys.argv[1], sys.argv[2], float(sys.argv[3])))
    sys.stdout.write(orjson.dumps(result).decode() + "\n")


if __name__ == "__main__":
    main()
