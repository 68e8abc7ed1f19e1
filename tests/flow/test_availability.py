"""A pool whose server is gone, and events that only look like an outage."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.harness import connection_of, execute, logged, until

from gateway.database.availability import Availability
from gateway.database.connect import connect, ping
from gateway.database.errors import DatabaseError, DatabaseUnavailable, translate_errors
from gateway.database.handle import Database
from gateway.database.listen import Listener
from gateway.database.pool import Pool
from gateway.identity.token_cache import FRESH, GRACE
from gateway.identity.token_store import TokenStore
from gateway.notifications.recorder import Recorder
from gateway.runtime import events

TIMEOUT = 10.0


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """A pool with a heartbeat."""
    pool = Pool(database, 2)
    heartbeat = asyncio.create_task(Listener(database, Availability(pool)).run())
    yield pool
    heartbeat.cancel()
    await pool.close()


OTHERS = """
select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
    and backend_type = 'client backend'
"""


async def test_heartbeat_reconnects_without_reporting_an_outage(pool: Pool, database: str) -> None:
    async def heartbeat_pids(*excluded: int) -> list[int]:
        async with asyncio.timeout(10):
            while not (pids := [row["pid"] for row in await execute(database, OTHERS)]):
                continue
        return [pid for pid in pids if pid not in excluded]

    [heartbeat_pid] = await heartbeat_pids()
    async with connection_of(pool) as connection:
        own = connection.get_server_pid()
        await execute(database, "select pg_terminate_backend($1, 5000)", heartbeat_pid)
        async with asyncio.timeout(10):
            while not await heartbeat_pids(own, heartbeat_pid):
                assert await connection.fetchval("select 1") == 1
    assert pool.problem is None


async def test_heartbeat_replaces_its_connection_at_its_greatest_age(database: str) -> None:
    pool = Pool(database, 1)
    heartbeat = asyncio.create_task(Listener(database, Availability(pool), max_age=0.1).run())
    seen: set[int] = set()
    async with asyncio.timeout(TIMEOUT):
        while len(seen) < 3:
            seen |= {row["pid"] for row in await execute(database, OTHERS)}
    assert pool.problem is None
    heartbeat.cancel()


COMMITS = """
select xact_commit + xact_rollback as n from pg_stat_database where datname = current_database()
"""


async def test_ping_is_answered_and_is_not_a_transaction(database: str) -> None:
    connection, other = await connect(database), await connect(database)

    async def transactions() -> int:
        for one in (connection, other):
            await one.execute("select pg_stat_force_next_flush()")
        count: int = await other.fetchval(COMMITS)
        return count

    before = await transactions()
    for _ in range(100):
        await ping(connection)
    assert await transactions() - before < 10
    await connection.close()
    await other.close()


async def test_ping_of_a_lost_connection_fails(database: str) -> None:
    connection = await connect(database)
    pid = connection.get_server_pid()
    await execute(database, "select pg_terminate_backend($1, 5000)", pid)
    with pytest.raises(DatabaseError), translate_errors(connection):
        await ping(connection)


async def test_availability_emits_one_event_at_the_begin_and_one_at_the_end(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pool = Pool(database, 1)
    availability = Availability(pool)
    availability.report_down("pooler", "it is stopped")
    assert pool.problem == "the pooler does not answer: it is stopped"
    for _ in range(3):
        availability.report_down("database", "it is stopped too")
        availability.report_down("pooler", "it is stopped")
        assert pool.problem == "the database does not answer: it is stopped too"
    availability.report_up("database")
    assert pool.problem == "the pooler does not answer: it is stopped"
    availability.report_up("pooler")
    availability.report_up("pooler")
    assert pool.problem is None
    assert logged(caplog, events.DATABASE_DOWN) == [{"part": "pooler", "reason": "it is stopped"}]
    [up] = logged(caplog, events.DATABASE_UP)
    assert up["seconds"] >= 0


async def test_pool_that_is_marked_down_fails_waiters_at_once_and_loses_no_place(
    database: str,
) -> None:
    pool = Pool(database, 2)

    async def wait() -> None:
        async with connection_of(pool) as connection:
            await connection.execute("select pg_sleep(600)")

    waiting = [asyncio.create_task(wait()) for _ in range(5)]
    await until(lambda: len(pool._in_use) == 2 and len(pool._waiters) == 3)
    pool.mark_down("it is frozen")
    async with asyncio.timeout(TIMEOUT):
        failed = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(error) for error in failed if isinstance(error, DatabaseUnavailable)} == {
        "it is frozen"
    }
    assert not [error for error in failed if error is None]
    with pytest.raises(DatabaseUnavailable, match="it is frozen"):
        await wait()
    pool.mark_up()
    async with asyncio.timeout(TIMEOUT), connection_of(pool) as one, connection_of(pool) as other:
        assert (await one.fetchval("select 1"), await other.fetchval("select 2")) == (1, 2)
    await pool.close()


async def test_pool_logs_unavailable_requests_once_a_second_with_a_count(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(pool)
    for number in range(5):
        recorder.record_unavailable(f"request-{number}", DatabaseUnavailable("it is away"))
    recorder._logged_at -= 1
    recorder.record_unavailable("request-5", DatabaseUnavailable("it is away"))
    assert logged(caplog, events.REQUEST_UNAVAILABLE) == [
        {"request_id": "request-0", "reason": "it is away", "more": 0},
        {"request_id": "request-5", "reason": "it is away", "more": 4},
    ]


async def test_unavailable_requests_of_an_outage_are_not_logged_one_by_one(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(pool)
    pool.commits.problem = "commits are not confirmed"
    recorder.record_unavailable("request-1", DatabaseUnavailable("it is away"))
    pool.commits.problem = None
    assert logged(caplog, events.REQUEST_UNAVAILABLE) == []
    recorder.record_unavailable("request-2", DatabaseUnavailable("it is away"))
    [line] = logged(caplog, events.REQUEST_UNAVAILABLE)
    assert (line["request_id"], line["more"]) == ("request-2", 1)


async def test_statement_beyond_its_deadline_is_cancelled_in_the_server(
    pool: Pool, database: str
) -> None:
    work = Database(pool, asyncio.get_running_loop().time() + 0.2)
    with pytest.raises(DatabaseUnavailable):
        await work.fetchrow("select pg_sleep(600)")
    async with asyncio.timeout(TIMEOUT):
        while await execute(database, f"{OTHERS} and query like '%sleep%' and state = 'active'"):
            continue


SHUTDOWN_MESSAGE = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"


async def test_statement_after_a_shutdown_message_of_the_server_is_unavailable(
    pool: Pool,
) -> None:
    async with connection_of(pool) as connection:
        protocol: Any = connection._protocol  # type: ignore[attr-defined]
    protocol.data_received(b"E" + (len(SHUTDOWN_MESSAGE) + 4).to_bytes(4, "big") + SHUTDOWN_MESSAGE)
    work = Database(pool, asyncio.get_running_loop().time() + TIMEOUT)
    with pytest.raises(DatabaseUnavailable):
        await work.fetchrow("select 1")
    assert await work.fetchrow("select 1")


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def test_token_confirmed_before_an_outage_is_accepted_for_60_seconds(
    pool: Pool, tokens: dict[str, str]
) -> None:
    clock = Clock()
    token_store = TokenStore(pool, clock=clock)
    principal = await token_store.find(tokens["employee"])
    pool._dsn = "postgresql://nobody@127.0.0.1:1/nothing"
    pool.mark_down("the test says so")
    for seconds in (FRESH + 1, GRACE / 2, GRACE - 1):
        clock.seconds = 1000 + seconds
        assert await token_store.find(tokens["employee"]) == principal
    clock.seconds = 1000 + GRACE
    for look_up in (
        token_store.find(tokens["employee"]),
        token_store.find(tokens["liaison"]),
    ):
        with pytest.raises(DatabaseUnavailable):
            await look_up
