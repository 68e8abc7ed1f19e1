"""A pooler that dies is not a dead database, and one that is busy is neither.

A proxy stands for the pooler: like one, it can be away while the server answers.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.harness import Client, connection_of, execute, serving, until
from support.proxies import Proxy

from gateway.database import pooler


@asynccontextmanager
async def pooled(url: str, tokens: dict[str, str]) -> AsyncIterator[tuple[Client, Proxy]]:
    """A worker whose calls go through a pooler, and which has the direct address too."""
    async with (
        Proxy(url).running() as proxy,
        serving(proxy.url, tokens, listen_database_url=url) as client,
    ):
        yield client, proxy


DIRECT = """
select count(*) as n from pg_stat_activity
where datname = current_database() and application_name like 'gateway listener%'
"""


async def test_pooler_that_is_away_is_told_apart_from_a_database_that_is(
    database: str, tokens: dict[str, str]
) -> None:
    async with pooled(database, tokens) as (client, proxy):
        pool = client.worker.pool
        proxy.refuse()
        await until(lambda: pool.problem)
        assert (pool.problem or "").startswith("the pooler does not answer: ")
        assert client.worker.listener.backend
        assert (await client.create_stage(order_id=7)).status_code == 503
        proxy.accept()
        await until(lambda: not pool.problem)
        assert (await client.create_stage(order_id=7)).status_code == 200


async def test_pooler_that_is_frozen_is_noticed_when_a_call_waits(
    database: str, tokens: dict[str, str]
) -> None:
    async with pooled(database, tokens) as (client, proxy):
        proxy.freeze()
        answer = await client.create_stage(order_id=7)
        assert answer.status_code == 503
        assert (client.worker.pool.problem or "").startswith("the pooler does not answer: ")


async def test_pooler_that_is_busy_is_not_taken_for_a_dead_one(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler, "MIN_INTERVAL", 0.0)
    monkeypatch.setattr(pooler, "WATCH_INTERVAL", 0.02)
    async with pooled(database, tokens) as (client, _):
        async with connection_of(client.worker.pool) as connection:
            # Several looks, each with a log-in that is answered.
            await connection.execute("select pg_sleep(0.5)")
        assert client.worker.pool.problem is None
        assert client.worker.pool.commits.problem is None


async def test_worker_has_one_direct_connection_beside_its_pooler(
    database: str, tokens: dict[str, str]
) -> None:
    async with pooled(database, tokens) as (client, proxy):
        await client.create_stage(order_id=7)
        [row] = await execute(database, DIRECT)
        assert row["n"] == 1
        all_of = "select count(*) as n from pg_stat_activity where datname = current_database()"
        [row] = await execute(database, f"{all_of} and backend_type = 'client backend'")
        # That query's own connection is one of them.
        assert row["n"] - 2 == proxy.talking


async def test_pooler_session_is_replaced_at_its_greatest_age(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler, "WATCH_INTERVAL", 0.02)
    names = "select pid from pg_stat_activity where application_name like 'gateway pooler%'"
    async with (
        Proxy(database).running() as proxy,
        serving(proxy.url, tokens, listen_database_url=database, database_connection_age="1"),
    ):
        seen: set[int] = set()
        async with asyncio.timeout(20):
            while len(seen) < 2:
                seen |= {row["pid"] for row in await execute(database, names)}
