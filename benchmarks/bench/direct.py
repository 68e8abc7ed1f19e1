"""The bare round trips of one create: asyncpg, one connection, no server; in a process of its own.

Prints its finding as one line of JSON.
"""

import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import orjson
import uvloop

from bench.calls import BODY
from bench.database import ORDERS, REQUEST_OF_ORDER
from bench.targets import BASELINES

Step = Callable[[int], Awaitable[Any]]


async def function(db: Any) -> Step:
    """One statement, which commits by itself."""
    statement = await db.prepare("select bench_create($1, $2, $3, $4)")
    return lambda order: statement.fetchval(
        order, order + REQUEST_OF_ORDER, BODY["notes"], "n" * 100
    )


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
    db = await asyncpg.connect(url)
    step = await {"function": function, "transaction": transaction}[kind](db)
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
