"""Metrics of what a worker depends on: pools, tokens, the snapshot, and the other workers."""

import asyncio
import math
import os
import platform
from importlib.metadata import version

import pytest
from support.harness import Client, execute, settings, until
from support.metrics import ask, text, total

from gateway.database.errors import DatabaseUnavailable
from gateway.database.handle import Database
from gateway.serve.worker import Worker

HOUR = 3600.0
AGE = "gateway_registry_snapshot_age_seconds"
LOOKUPS = "gateway_token_lookups_total"
OPEN = "gateway_notifications_open"
TIMEOUTS = "gateway_database_timeouts_total"


async def test_metrics_count_time_outs_of_waiting_and_of_statements_by_pool(
    client: Client,
) -> None:
    pool = client.worker.background_pool
    held = [await pool.acquire() for _ in range(pool.size)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await pool.acquire()
    for connection in held:
        pool.release(connection)
    with pytest.raises(DatabaseUnavailable):
        await Database.within(pool, 0).fetch("select pg_sleep(30)")
    page = await text(client)
    assert total(page, TIMEOUTS, pool="background", reason="waiting") == 1
    assert total(page, TIMEOUTS, pool="background", reason="statement") == 1
    assert total(page, TIMEOUTS) == 2


async def test_metrics_count_token_look_ups_by_source(client: Client) -> None:
    await client.create_stage(order_id=7)
    await client.create_stage(order_id=8)
    page = await text(client)
    assert total(page, LOOKUPS, source="database") == 1
    assert total(page, LOOKUPS, source="cache") == 1
    client.worker.identity.store.cache.clock = lambda: asyncio.get_running_loop().time() + 30
    client.worker.lookup_pool.mark_down("taken away by the test")
    await client.create_stage(order_id=9)
    assert total(await text(client), LOOKUPS, source="stale") == 1


async def test_metrics_have_live_workers_and_open_notifications_by_severity(
    client: Client,
) -> None:
    for name in ("a", "b"):
        notice = (
            "select gateway.raise_notification"
            f"('application-crash', 'error', '{name}', 'KeyError', 'a.b', 'r1', now(), 1)"
        )
        await execute(client.database_url, notice)
    await client.worker.reporter._report()
    page = await text(client)
    assert total(page, "gateway_workers") == 1
    assert total(page, OPEN, severity="error") == 2
    assert total(page, OPEN, severity="critical") == 0
    await execute(
        client.database_url,
        "update gateway.notifications set resolved_at = now(), resolved_by = 'a'",
    )
    await client.worker.reporter._report()
    assert total(await text(client), OPEN) == 0


async def test_metrics_have_the_age_of_the_snapshot_and_infinity_without_one(
    client: Client,
) -> None:
    registry = client.worker.registry
    assert registry._snapshot
    await until(lambda: registry.snapshot_age < math.inf)
    assert total(await text(client), AGE) < HOUR
    written_at = registry._snapshot.stat().st_mtime - HOUR
    os.utime(registry._snapshot, (written_at, written_at))
    registry.current = None
    registry.start_from_snapshot()
    assert total(await text(client), AGE) >= HOUR
    worker = Worker(settings("postgresql://127.0.0.1:1/nowhere"))
    assert total((await ask(worker, "/-/metrics")).text, AGE) == math.inf


async def test_metrics_name_the_versions_of_the_gateway_and_of_python(client: Client) -> None:
    labels = {"version": version("plano-gateway"), "python": platform.python_version()}
    assert total(await text(client), "gateway_build_info", **labels) == 1


async def test_metrics_have_no_open_notifications_before_the_database_has_answered() -> None:
    worker = Worker(settings("postgresql://127.0.0.1:1/nowhere"))
    page = (await ask(worker, "/-/metrics")).text
    assert OPEN not in {line.partition("{")[0] for line in page.splitlines()}
