"""Asynchronous standbys are reported, since a fail-over to one loses acknowledged writes."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support.harness import execute, logged, serving, until
from support.manifests import migrated
from support.metrics import text, total
from support.standbys import STANDBY_NAMES, Pair, set_on_server

from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.notifications.replication import Replication
from gateway.runtime import events

STANDBYS = "gateway_database_asynchronous_standbys"
NOTICES = "select message, resolved_by from gateway.notifications where kind like 'replication-%'"
EMPTY = "synchronous_standby_names is empty"
READER = (
    "drop role if exists plain",
    "create role plain login",
    "grant usage on schema gateway to plain",
    "grant all on all tables in schema gateway to plain",
    "grant all on all sequences in schema gateway to plain",
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Pair(tmp_path_factory.mktemp("pair"), {}) as running:
        asyncio.run(migrated(running.primary.url()))
        yield running


@pytest.fixture
def url(pair: Pair) -> str:
    return pair.primary.url()


@pytest.fixture(autouse=True)
async def as_new(url: str) -> None:
    await set_on_server(url, STANDBY_NAMES, "")
    await execute(url, "delete from gateway.notifications")


async def check(url: str, replication: Replication, times: int = 1) -> list[Any]:
    """Check replication on a new connection; return the notifications."""
    pool = Pool(url, 1)
    try:
        for _ in range(times):
            await replication.check(Database.within(pool, 5))
    finally:
        await pool.close()
    return [tuple(row) for row in await execute(url, NOTICES)]


async def test_replication_that_is_asynchronous_is_reported_once(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    replication = Replication()
    [(message, resolved_by)] = await check(url, replication, times=2)
    assert message == (f"A standby follows the database, and commits do not wait for any: {EMPTY}.")
    assert resolved_by is None
    assert logged(caplog, events.DATABASE_ASYNCHRONOUS) == [{"standbys": 1, "reason": EMPTY}]


async def test_replication_that_becomes_synchronous_resolves_the_notification(url: str) -> None:
    replication = Replication()
    await check(url, replication)
    assert replication.asynchronous_standbys == 1
    await set_on_server(url, STANDBY_NAMES, "*")
    [(_, resolved_by)] = await check(url, replication)
    assert resolved_by == "gateway"
    assert replication.asynchronous_standbys == 0


async def test_replication_of_a_role_that_does_not_wait_is_reported(url: str) -> None:
    await set_on_server(url, STANDBY_NAMES, "*")
    [(message, _)] = await check(f"{url}&synchronous_commit=local", Replication())
    assert message.endswith(": synchronous_commit is local.")


async def test_replication_that_an_operator_accepted_is_not_reported_again(url: str) -> None:
    replication = Replication()
    await check(url, replication)
    await execute(url, "update gateway.notifications set resolved_at = now(), resolved_by = 'ada'")
    assert [resolved_by for _, resolved_by in await check(url, replication)] == ["ada"]


async def test_replication_is_seen_by_a_role_without_privileges(url: str) -> None:
    for statement in READER:
        await execute(url, statement)
    assert len(await check(url.replace("//gateway@", "//plain@"), Replication())) == 1


async def test_replication_without_standbys_is_not_reported(database: str) -> None:
    assert await check(database, Replication()) == []


async def test_replication_is_checked_by_the_worker_that_does_maintenance(url: str) -> None:
    async with serving(url, {}) as client:
        replication = client.worker.replication
        await until(lambda: replication.asynchronous_standbys)
        assert total(await text(client), STANDBYS) == 1
