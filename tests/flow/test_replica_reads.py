"""Routes with `reads`: a standby answers if its data is new enough, otherwise the primary."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.harness import Client, execute, logged, serving, until
from support.manifests import applied, desired, migrated
from support.metrics import text, total
from support.standbys import Pair, address, host_of, swallower

from gateway import Call, Reply
from gateway.database import replicas
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.replicas import Replicas
from gateway.runtime import events
from gateway.upstreams.python import Actions

READS = {"from": "replica", "stale": "1s"}
STATE = "select pg_is_in_recovery() as standby, (select count(*) from notes) as notes"
WRITE = "insert into notes values ('kept')"
COUNTED = "gateway_replica_reads_total"


async def read(call: Call) -> Reply:
    row = await call.db.fetchrow(STATE)
    assert row
    return Reply(dict(row))


async def read_shared(call: Call) -> Reply:
    async def state(db: Database) -> dict[str, Any]:
        [row] = await db.fetch(STATE)
        return dict(row)

    return Reply(await call.db.shared(state))


async def read_in_transaction(call: Call) -> Reply:
    row = await call.db.transaction(lambda connection: connection.fetchrow(STATE))
    assert row
    return Reply(dict(row))


async def write(call: Call) -> Reply:
    await call.db.fetch(WRITE)
    return Reply({})


async def sleep(call: Call) -> Reply:
    row = await call.db.fetchrow("select pg_is_in_recovery() as standby, pg_sleep(0.5)")
    assert row
    return Reply({"standby": row["standby"]})


ACTIONS = Actions(
    {
        "test.read": read,
        "test.shared": read_shared,
        "test.transaction": read_in_transaction,
        "test.write": write,
        "test.sleep": sleep,
        "test.plain": read,
    }
)
ROUTES = {
    f"test.{name}": {"auth": "public", "reads": READS}
    for name in ("read", "shared", "transaction", "write", "sleep")
} | {"test.plain": {"auth": "public"}}


async def prepare(url: str, folder: Path) -> None:
    await migrated(url)
    await execute(url, "create table notes (note text)")
    await applied(url, desired(folder, ROUTES))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with Pair(folder, {}) as running:
        asyncio.run(prepare(running.primary.url(), folder))
        yield running


@asynccontextmanager
async def worker(pair: Pair, replica: str | None = None) -> AsyncIterator[Client]:
    url = pair.standby.url() if replica is None else replica
    async with serving(pair.primary.url(), {}, actions=ACTIONS, replica_database_url=url) as client:
        yield client


async def answer(client: Client, name: str = "read") -> Any:
    response = await client.post(f"/api/v1/test/{name}")
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def answered_by(client: Client, *, standby: bool, name: str = "read") -> Any:
    """Call until the standby, or the primary, answers; return the answer."""
    async with asyncio.timeout(20):
        while (data := await answer(client, name))["standby"] is not standby:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return data


async def test_reads_come_from_the_replica_once_its_age_is_known(pair: Pair) -> None:
    async with worker(pair) as client:
        assert not (await answer(client))["standby"]
        for name in ("read", "shared", "transaction"):
            await answered_by(client, standby=True, name=name)
        assert not (await answer(client, "plain"))["standby"]
        page = await text(client)
    assert total(page, COUNTED, source="replica") == 3
    assert total(page, COUNTED, source="primary") >= 1


async def test_reads_come_from_the_primary_while_the_replica_is_late(pair: Pair) -> None:
    async with worker(pair) as client:
        before = (await answered_by(client, standby=True))["notes"]
        await execute(pair.standby.url(), "select pg_wal_replay_pause()")
        try:
            await execute(pair.primary.url(), WRITE)
            data = await answered_by(client, standby=False)
            assert data["notes"] == before + 1
        finally:
            await execute(pair.standby.url(), "select pg_wal_replay_resume()")
        data = await answered_by(client, standby=True)
        assert data["notes"] == before + 1


async def test_reads_of_a_replica_are_never_older_than_allowed(pair: Pair) -> None:
    loop = asyncio.get_running_loop()
    async with worker(pair) as client:
        await answered_by(client, standby=True)
        await execute(pair.standby.url(), "select pg_wal_replay_pause()")
        try:
            before = (await answer(client))["notes"]
            await execute(pair.primary.url(), WRITE)
            committed, asked, data = loop.time(), loop.time(), await answer(client)
            while data["standby"]:
                assert data["notes"] == before
                last = asked
                asked, data = loop.time(), await answer(client)
            # The last answer of the standby was asked for within a second of the commit.
            assert last - committed <= 1
        finally:
            await execute(pair.standby.url(), "select pg_wal_replay_resume()")


async def test_replica_of_an_idle_primary_stays_new(pair: Pair) -> None:
    primary = Pool(pair.primary.url(), 1)
    known = Replicas(pair.standby.url(), primary, lambda dsn: Pool(dsn, 1))
    # Nothing is written from now on, and the end of the WAL is the begin of a page.
    await execute(pair.primary.url(), "select pg_switch_wal()")
    await pair.caught_up()
    await execute(pair.standby.url(), "select pg_wal_replay_pause()")
    try:
        for _ in range(3):
            await known._measure()
            await until(lambda: not known._measuring)
            assert known.pick(2)
            assert not known.pick(0)
    finally:
        await execute(pair.standby.url(), "select pg_wal_replay_resume()")
        await asyncio.gather(known.close(), primary.close())


@pytest.mark.parametrize("has_replica", [True, False])
async def test_write_of_a_route_with_reads_is_an_error_of_the_service(
    pair: Pair, caplog: pytest.LogCaptureFixture, *, has_replica: bool
) -> None:
    async with worker(pair, None if has_replica else "") as client:
        if has_replica:
            await answered_by(client, standby=True)
        response = await client.post("/api/v1/test/write")
        usage = client.worker.pool.usage()
    assert response.json()["status"] == "application-crash"
    [fields] = logged(caplog, events.REQUEST_CRASHED)
    assert "a route that has `reads` in the manifest cannot write" in fields["error"]
    # The connections were in order, and stay.
    assert usage.idle == 1


async def test_reads_without_the_setting_come_from_the_primary(pair: Pair) -> None:
    async with worker(pair, "") as client:
        assert [(await answer(client))["standby"] for _ in range(5)] == [False] * 5
        assert total(await text(client), COUNTED, source="primary") == 5


async def test_read_that_a_replica_breaks_off_is_repeated_on_the_primary(pair: Pair) -> None:
    async with worker(pair) as client:
        await answered_by(client, standby=True)
        call = asyncio.create_task(answer(client, "sleep"))
        ended: list[Any] = []
        async with asyncio.timeout(10):
            while not ended:
                ended = await execute(
                    pair.standby.url(),
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where query like '%pg_sleep(0.5)%' and pid <> pg_backend_pid()",
                )
        assert not (await call)["standby"]


async def test_replica_that_is_not_a_standby_is_not_used(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(pair, pair.primary.url()) as client:
        client.worker.replicas.pick(1)
        await until(lambda: logged(caplog, events.DATABASE_REPLICA_LOST))
        assert client.worker.replicas.pick(1) is None
    [fields] = logged(caplog, events.DATABASE_REPLICA_LOST)
    assert fields["reason"] == "it is not a standby"


async def test_replica_of_another_primary_is_not_used(
    pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = await asyncio.to_thread(Pair(tmp_path, {}).__enter__)
    try:
        async with worker(pair, other.standby.url()) as client:
            client.worker.replicas.pick(1)
            await until(lambda: logged(caplog, events.DATABASE_REPLICA_LOST))
            assert client.worker.replicas.pick(1) is None
    finally:
        await asyncio.to_thread(other.__exit__)
    [fields] = logged(caplog, events.DATABASE_REPLICA_LOST)
    assert fields["reason"] == "it is a standby of another primary"


async def test_replica_that_does_not_answer_does_not_delay_another(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with swallower() as silent:
        async with worker(pair, address(silent, host_of(pair.standby))) as client:
            await answered_by(client, standby=True)
            await until(lambda: logged(caplog, events.DATABASE_REPLICA_LOST))
            assert (await answered_by(client, standby=True))["standby"]
    [fields] = logged(caplog, events.DATABASE_REPLICA_LOST)
    assert fields["replica"] == ":".join(silent)


async def test_replicas_are_not_asked_while_no_call_reads_from_them(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "IDLE_DELAY", 0.1)
    async with worker(pair) as client:
        assert client.worker.replicas._positions.maxlen == 600
        assert not client.worker.replicas._positions
        await answered_by(client, standby=True)
        asked = client.worker.replicas._asked
        await until(lambda: not asked.is_set())
        loop, [replica] = asyncio.get_running_loop(), client.worker.replicas._replicas
        await until(lambda: loop.time() - replica.complete_until > 1)
        # The age of its data is not known again until a call asks for it.
        assert not (await answer(client))["standby"]
        await answered_by(client, standby=True)
