"""The event loop's watch: what blocks it is named, its lag and the pools are metrics."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.harness import Client, logged, serving, until

from gateway import Call, Reply
from gateway.runtime import events
from gateway.upstreams.python import Actions

LAG = "gateway_event_loop_lag_seconds"


async def block(_: Call) -> Reply:
    time.sleep(0.6)  # noqa: ASYNC251 - as a service would by mistake
    return Reply({})


async def wait(_: Call) -> Reply:
    await asyncio.sleep(0.6)
    return Reply({})


async def values(client: Client, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric by the values of their labels, after a flush."""
    client.worker.admin._flush()
    text = client.worker.metrics.text("")[0].decode()
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


@pytest.mark.parametrize("action", [block, wait])
async def test_action_that_blocks_the_loop_is_named(
    database: str, tokens: dict[str, str], caplog: pytest.LogCaptureFixture, action: Any
) -> None:
    caplog.set_level("INFO")
    actions = Actions({"order_stages.create": action})
    async with serving(database, tokens, actions=actions) as client:
        await client.create_stage(order_id=7)
        if action is block:
            await until(lambda: logged(caplog, events.WORKER_LOOP_BLOCKED))
            assert (await values(client, LAG))[()] > 0.2
    own = [line for line in logged(caplog, events.WORKER_LOOP_BLOCKED) if line["route"]]
    if action is wait:
        assert own == []
        return
    [line] = own
    assert (line["route"], line["action"]) == ("order_stages.create", "order_stages.create")
    file, _, number = line["place"].rpartition(":")
    assert Path(file) == Path(__file__)
    assert int(number) == block.__code__.co_firstlineno + 1
    assert line["ms"] > 200


async def test_pool_figures_show_connections_in_use_and_waiting_calls(client: Client) -> None:
    pool = client.worker.pool
    owners = [f"route-{number}" for number in range(pool.size)]
    held = [await pool.acquire(owner) for owner in owners]
    waiting = asyncio.create_task(pool.acquire("late"))
    await asyncio.sleep(0)
    connections = await values(client, "gateway_database_connections")
    assert connections["calls", "in-use"] == pool.size
    assert (await values(client, "gateway_database_waiting"))["calls", "connection"] == 1
    for owner, connection in zip(owners, held, strict=True):
        pool.release(connection, owner)
    pool.release(await waiting, "late")
    assert (await values(client, "gateway_database_connections"))["calls", "in-use"] == 0


async def test_pool_figures_show_calls_that_wait_for_their_routes_share(client: Client) -> None:
    pool = client.worker.pool
    share = pool.size * 3 // 4
    held = [await pool.acquire("slow") for _ in range(share)]
    waiting = asyncio.create_task(pool.acquire("slow"))
    await asyncio.sleep(0)
    assert (await values(client, "gateway_database_waiting"))["calls", "bulkhead"] == 1
    for connection in held:
        pool.release(connection, "slow")
    pool.release(await waiting, "slow")
