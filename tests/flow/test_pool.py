"""The pool: a maximum of connections, waiters in order, and no place is ever lost."""

import asyncio
import random
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from support.harness import connection_of, execute, until

from gateway.database.connect import Connection, connect
from gateway.database.errors import DatabaseUnavailable
from gateway.database.pool import Pool

SIZE = 3


@pytest.fixture
async def pool(empty_database: str) -> AsyncIterator[Pool]:
    pool = Pool(empty_database, SIZE)
    yield pool
    await pool.close()


async def backends(url: str) -> set[int]:
    """The server processes of the connections to a database, except that of this query."""
    rows = await execute(
        url,
        "select pid from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid() "
        "and backend_type = 'client backend'",
    )
    return {row["pid"] for row in rows}


async def wait_until_they_agree(pool: Pool, url: str) -> None:
    """Wait until the pool and the server have the same connections; none may be in use."""
    async with asyncio.timeout(10):
        while True:
            idle = {one.get_server_pid() for one in pool._idle if not one.is_closed()}
            if idle == await backends(url):
                return


async def pid(pool: Pool) -> int:
    async with connection_of(pool) as connection:
        return connection.get_server_pid()


async def is_whole(pool: Pool) -> bool:
    """Whether the pool gives exactly its size of connections at once, and each of them works."""
    async with asyncio.timeout(10):
        held = [connection_of(pool) for _ in range(SIZE)]
        connections = [await one.__aenter__() for one in held]
        extra = asyncio.create_task(pid(pool))
        await until(lambda: pool._waiters)
        answers = [await connection.fetchval("select 1") for connection in connections]
        for one in held:
            await one.__aexit__(None, None, None)
        await extra
    return answers == [1] * SIZE and len(set(connections)) == SIZE


async def test_pool_opens_at_most_its_size(pool: Pool, empty_database: str) -> None:
    in_use = max_in_use = 0

    async def work() -> int:
        nonlocal in_use, max_in_use
        async with connection_of(pool) as connection:
            in_use += 1
            max_in_use = max(max_in_use, in_use)
            await connection.execute("select pg_sleep(0.001)")
            in_use -= 1
            return connection.get_server_pid()

    used = set(await asyncio.gather(*(work() for _ in range(50))))
    assert max_in_use <= SIZE
    assert len(used) == SIZE
    assert await backends(empty_database) == used


async def test_pool_opens_connections_on_demand(pool: Pool, empty_database: str) -> None:
    assert await backends(empty_database) == set()
    assert len({await pid(pool) for _ in range(5)}) == 1
    assert len(await backends(empty_database)) == 1


async def test_pool_reuses_the_most_recently_used_connection(pool: Pool) -> None:
    async with connection_of(pool) as last, connection_of(pool):
        used_last = last.get_server_pid()
    assert {await pid(pool) for _ in range(3)} == {used_last}


async def test_pool_connection_over_a_network_has_keep_alives(
    pool: Pool, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Unix socket has no keep-alives: PostgreSQL always reports 0 for it."""
    show = "show tcp_keepalives_idle"
    async with connection_of(pool) as connection:
        is_local = await connection.fetchval("select inet_server_addr() is null")
        assert await connection.fetchval(show) == ("0" if is_local else "60")
    monkeypatch.setattr("gateway.database.connect.KEEP_ALIVE", "set application_name = 'told'")
    assert (await execute(empty_database, "show application_name"))[0][0] == "told"


async def test_pool_serves_waiters_in_order(empty_database: str) -> None:
    pool = Pool(empty_database, 1)
    served: list[int] = []

    async def work(number: int) -> None:
        async with connection_of(pool) as connection:
            served.append(number)
            await connection.execute("select 1")

    async with connection_of(pool):
        tasks = [asyncio.create_task(work(number)) for number in range(20)]
        await until(lambda: len(pool._waiters) == 20)
    await asyncio.gather(*tasks)
    assert served == [*range(20)]
    await pool.close()


async def test_pool_waiter_that_was_woken_is_not_overtaken(empty_database: str) -> None:
    pool = Pool(empty_database, 1)
    served: list[str] = []

    async def work(name: str) -> None:
        async with connection_of(pool):
            served.append(name)

    async with connection_of(pool):
        early = asyncio.create_task(work("early"))
        await until(lambda: pool._waiters)
    # No other task has run since: the early caller has its turn but has not resumed yet.
    await work("late")
    await early
    assert served == ["early", "late"]
    await pool.close()


async def test_pool_waiter_that_is_cancelled_loses_no_place(pool: Pool) -> None:
    held = [connection_of(pool) for _ in range(SIZE)]
    for one in held:
        await one.__aenter__()
    waiters = [asyncio.create_task(pid(pool)) for _ in range(6)]
    await until(lambda: len(pool._waiters) == 6)
    for waiter in waiters[::2]:
        waiter.cancel()
    for one in held:
        await one.__aexit__(None, None, None)
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False] * 3
    assert await is_whole(pool)


@pytest.mark.parametrize("broken", [False, True], ids=["a connection", "a place"])
async def test_pool_waiter_that_is_cancelled_when_woken_passes_its_turn_on(
    empty_database: str, *, broken: bool
) -> None:
    pool = Pool(empty_database, 1)
    async with connection_of(pool) as connection:
        first, second = (asyncio.create_task(pid(pool)) for _ in range(2))
        await until(lambda: len(pool._waiters) == 2)
        if broken:
            connection.terminate()
    first.cancel()
    async with asyncio.timeout(10):
        await second
        with pytest.raises(asyncio.CancelledError):
            await first
        await pid(pool)
    await pool.close()


async def test_pool_caller_that_is_cancelled_while_connecting_frees_its_place(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = 0

    async def never(_: str, __: float, *, purpose: str) -> Connection:  # noqa: ARG001
        nonlocal opening
        opening += 1
        await asyncio.Event().wait()
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr("gateway.database.pool.connect", never)
        tasks = [asyncio.create_task(pid(pool)) for _ in range(SIZE)]
        await until(lambda: opening == SIZE)
        waiter = asyncio.create_task(pid(pool))
        await until(lambda: pool._waiters)
    for task in tasks:
        task.cancel()
    async with asyncio.timeout(10):
        await waiter
    assert await is_whole(pool)


async def test_pool_replaces_a_broken_idle_connection(pool: Pool, empty_database: str) -> None:
    before = await pid(pool)
    await execute(empty_database, "select pg_terminate_backend($1, 5000)", before)
    await until(pool._idle[0].is_closed)
    assert await pid(pool) != before
    assert await is_whole(pool)


async def test_pool_replaces_a_connection_that_breaks_in_use(
    pool: Pool, empty_database: str
) -> None:
    for _ in range(2 * SIZE):
        async with connection_of(pool) as connection:
            dead = connection.get_server_pid()
            await execute(empty_database, "select pg_terminate_backend($1, 5000)", dead)
            await until(connection.is_closed)
    assert await is_whole(pool)


async def test_pool_keeps_the_connection_after_an_error_of_the_work(pool: Pool) -> None:
    before = await pid(pool)
    with pytest.raises(ZeroDivisionError):
        async with connection_of(pool):
            raise ZeroDivisionError
    assert await pid(pool) == before


async def test_pool_waiters_all_fail_at_once_when_the_server_refuses(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0
    refuse = asyncio.Event()

    async def refused(_: str, __: float, *, purpose: str) -> Connection:  # noqa: ARG001
        nonlocal attempts
        attempts += 1
        await refuse.wait()
        message = "the database system is shutting down"
        raise DatabaseUnavailable(message)

    with monkeypatch.context() as patched:
        patched.setattr("gateway.database.pool.connect", refused)
        tasks = [asyncio.create_task(pid(pool)) for _ in range(50)]
        await until(lambda: len(pool._waiters) == 50 - SIZE)
        refuse.set()
        async with asyncio.timeout(10):
            results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {(type(result), str(result)) for result in results} == {
        (DatabaseUnavailable, "the database system is shutting down")
    }
    assert attempts == SIZE
    assert await is_whole(pool)


@pytest.mark.parametrize(
    ("query", "words"),
    [({"path": "/nothing"}, '"nothing" does not exist'), ({"query": "host=/nowhere"}, "no such")],
    ids=["no database", "no server"],
)
async def test_pool_of_an_unreachable_database_is_unavailable(
    empty_database: str, query: dict[str, str], words: str
) -> None:
    url = urlunsplit(urlsplit(empty_database)._replace(**query))
    pool = Pool(url, SIZE)
    async with asyncio.timeout(10):
        results = await asyncio.gather(*(pid(pool) for _ in range(20)), return_exceptions=True)
    assert {type(result) for result in results} == {DatabaseUnavailable}
    assert words in str(results[0])
    await pool.close()


async def test_pool_that_is_closed_leaves_no_connection(pool: Pool, empty_database: str) -> None:
    async with connection_of(pool):
        await pid(pool)
        assert len(await backends(empty_database)) == 2
        await pool.close()
    await wait_until_they_agree(pool, empty_database)
    assert await backends(empty_database) == set()


async def test_pool_loses_no_place_under_random_errors(pool: Pool, empty_database: str) -> None:
    rng = random.Random(7)

    async def work() -> None:
        async with connection_of(pool) as connection:
            what = rng.random()
            if what < 0.1:
                connection.terminate()
            elif what < 0.2:
                await connection.execute("select pg_terminate_backend(pg_backend_pid())")
            elif what < 0.3:
                await connection.execute("select 1 / 0")
            else:
                await connection.execute("select pg_sleep(0.001)")

    tasks = []
    for _ in range(300):
        tasks.append(asyncio.create_task(work()))
        if rng.random() < 0.3:
            rng.choice(tasks).cancel()
        if rng.random() < 0.3:
            await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await asyncio.gather(*tasks, return_exceptions=True)
    await wait_until_they_agree(pool, empty_database)
    assert await is_whole(pool)


async def test_connection_encodes_and_decodes_jsonb(empty_database: str) -> None:
    connection = await connect(empty_database)
    value = {"a": [1, None, "ż", {"b": 1.5}], "c": True}
    assert await connection.fetchval("select $1::jsonb", value) == value
    await connection.close()


@pytest.mark.parametrize(("size", "share"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (16, 12)])
async def test_pool_owner_gets_at_most_three_quarters(
    empty_database: str, size: int, share: int
) -> None:
    pool = Pool(empty_database, size)
    held = [await pool.acquire("route") for _ in range(share)]
    extra = asyncio.create_task(pool.acquire("route"))
    await asyncio.sleep(0.05)
    assert not extra.done()
    pool.release(held.pop(), "route")
    held.append(await extra)
    for connection in held:
        pool.release(connection, "route")
    await pool.close()


@pytest.mark.parametrize("end", ["close", "give_up"])
async def test_pool_waiters_for_a_share_fail_with_the_others(pool: Pool, end: str) -> None:
    held = [await pool.acquire("route") for _ in range(2)]
    waiting = [asyncio.create_task(pool.acquire("route")) for _ in range(2)]
    await asyncio.sleep(0)
    await pool.close() if end == "close" else pool.mark_down("frozen")
    for task in waiting:
        with pytest.raises(DatabaseUnavailable):
            await task
    with pytest.raises(DatabaseUnavailable):
        await pool.acquire("route")
    for connection in held:
        pool.release(connection, "route")


async def test_pool_waiter_for_a_share_that_leaves_loses_no_place(pool: Pool) -> None:
    held = [await pool.acquire("route") for _ in range(2)]
    leaver = asyncio.create_task(pool.acquire("route"))
    await asyncio.sleep(0)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    for connection in held:
        pool.release(connection, "route")
    assert await is_whole(pool)
    assert not pool._bulkhead._held


async def test_pool_idle_connection_is_replaced_at_its_greatest_age(empty_database: str) -> None:
    pool = Pool(empty_database, SIZE, max_age=0.2)
    first = await pid(pool)
    await until(lambda: not pool.usage().idle)
    assert await pid(pool) != first
    pool._max_age = 0
    assert await is_whole(pool)
    await pool.close()


async def test_pool_connection_in_use_is_replaced_only_when_it_is_released(
    empty_database: str,
) -> None:
    pool = Pool(empty_database, 1, max_age=0.01)
    async with connection_of(pool) as connection:
        waiter = asyncio.create_task(pid(pool))
        await until(lambda: pool._expired)
        assert await connection.fetchval("select 1") == 1
        first = connection.get_server_pid()
    assert await waiter != first
    assert not pool._expired
    await pool.close()


async def test_pool_keeps_no_timer_of_a_connection_that_was_lost(empty_database: str) -> None:
    pool = Pool(empty_database, 1, max_age=0.2)
    async with connection_of(pool) as connection:
        connection.terminate()
    assert pool.usage().idle == 0
    timer_is_over = asyncio.get_running_loop().time() + 0.3
    await until(lambda: asyncio.get_running_loop().time() > timer_is_over)
    assert not pool._expired
    assert await pid(pool)
    await pool.close()
