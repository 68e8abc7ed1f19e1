"""Reads that are the same share one query, which begins after everybody who shares it asked."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from support.harness import Client, connection_of, execute, until

from gateway.database.coalesce import Coalescer
from gateway.database.errors import DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.runtime.lazy_timeout import LazyTimeout


class Reader:
    """Reads what is held up until it is let go; each read answers its number."""

    def __init__(self) -> None:
        self.begun = 0
        self.let_go = asyncio.Event()
        self.fault: Exception | None = None

    async def make(self, tell: Callable[[], None]) -> int:
        tell()
        self.begun += 1
        number = self.begun
        await self.let_go.wait()
        if self.fault:
            raise self.fault
        return number


async def test_coalesced_reads_during_a_query_share_the_next_query() -> None:
    shared, reader, told = Coalescer(), Reader(), []

    async def ask(name: str) -> int:
        number: int = await shared.read("key", reader.make, lambda: told.append(name))
        return number

    first = asyncio.create_task(ask("first"))
    await until(lambda: reader.begun == 1)
    later = [asyncio.create_task(ask(f"later{n}")) for n in range(50)]
    await asyncio.sleep(0.01)
    assert (reader.begun, told) == (1, ["first"])
    reader.let_go.set()
    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 50
    assert (reader.begun, len(told)) == (2, 51)
    assert not shared._in_flight


async def test_coalesced_reads_of_other_keys_do_not_wait() -> None:
    shared, held, free = Coalescer(), Reader(), Reader()
    free.let_go.set()
    waiting = asyncio.create_task(shared.read("a", held.make, lambda: None))
    assert await shared.read("b", free.make, lambda: None) == 1
    held.let_go.set()
    assert await waiting == 1


async def test_coalesced_read_error_reaches_its_callers_and_no_later_caller() -> None:
    shared, reader = Coalescer(), Reader()
    reader.fault = DatabaseUnavailable("gone")
    calls = [asyncio.create_task(shared.read("k", reader.make, lambda: None)) for _ in range(3)]
    await until(lambda: reader.begun == 1)
    reader.let_go.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseUnavailable] * 3
    reader.fault = None
    assert await shared.read("k", reader.make, lambda: None) == 3


async def test_coalesced_read_survives_a_caller_that_leaves() -> None:
    shared, reader = Coalescer(), Reader()
    first = asyncio.create_task(shared.read("k", reader.make, lambda: None))
    await until(lambda: reader.begun == 1)
    second = asyncio.create_task(shared.read("k", reader.make, lambda: None))
    await asyncio.sleep(0)
    first.cancel()
    reader.let_go.set()
    assert await second == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_coalesced_read_survives_a_caller_that_times_out(database: str) -> None:
    """The read begins after one of those that share it has left at his deadline."""
    pool, now = Pool(database, 1), asyncio.get_running_loop().time()

    async def make(db: Database) -> int:
        row = await db.fetchrow("select 1 as one")
        return int(row["one"]) if row else 0

    async def ask(seconds: float) -> int:
        work = Database(pool, now + 10)
        deadline = LazyTimeout(work.shared(make, "k"), now + seconds)
        work.on_sent = deadline.lift
        return await deadline

    async with connection_of(pool):
        first = asyncio.create_task(ask(10))
        await asyncio.sleep(0.02)
        rest = [asyncio.create_task(ask(seconds)) for seconds in (0.1, 10)]
        with pytest.raises(TimeoutError):
            await rest[0]
    async with asyncio.timeout(5):
        assert [await first, await rest[1], await ask(10)] == [1, 1, 1]
    await pool.close()


async def test_coalesced_read_without_callers_does_not_start(database: str) -> None:
    """Neither one that waits for a connection nor the one after it; and the key goes on."""
    pool, shared, made = Pool(database, 1), Coalescer(), list[str]()

    def named(name: str) -> Callable[[Callable[[], None]], Awaitable[str]]:
        async def make(tell: Callable[[], None]) -> str:
            async with connection_of(pool):
                tell()
                made.append(name)
            return name

        return make

    async with connection_of(pool):
        left = [asyncio.create_task(shared.read("k", named(n), lambda: None)) for n in "abc"]
        await until(lambda: pool._waiters)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await until(lambda: not shared._in_flight)
        stays = asyncio.create_task(shared.read("k", named("d"), lambda: None))
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await stays == "d"
    assert made == ["d"]
    await pool.close()


async def test_coalesced_read_runs_as_the_last_caller_asked() -> None:
    shared, reader = Coalescer(), Reader()
    first = asyncio.create_task(shared.read("k", reader.make, lambda: None))
    await until(lambda: reader.begun == 1)

    async def make(name: str, tell: Callable[[], None]) -> str:
        tell()
        return await asyncio.sleep(0, name)

    rest = [
        asyncio.create_task(shared.read("k", partial(make, name), lambda: None)) for name in "ab"
    ]
    await asyncio.sleep(0)
    reader.let_go.set()
    assert [await task for task in (first, *rest)] == [1, "b", "b"]


async def test_coalesced_read_that_is_cancelled_leaves_its_key_usable() -> None:
    shared, reader = Coalescer(), Reader()
    waiting = asyncio.create_task(shared.read("k", reader.make, lambda: None))
    await until(lambda: reader.begun == 1)
    task = shared._in_flight["k"].task
    assert task
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    reader.let_go.set()
    assert await shared.read("k", reader.make, lambda: None) == 2


async def test_coalesced_read_without_a_connection_times_out(database: str) -> None:
    """It has not begun by then, so that nothing is unknown of it."""
    pool, now = Pool(database, 1), asyncio.get_running_loop().time()

    async def make(db: Database) -> int:
        row = await db.fetchrow("select 1 as one")
        return int(row["one"]) if row else 0

    work = Database(pool, now + 10)
    deadline = LazyTimeout(work.shared(make, "k"), now + 0.05)
    work.on_sent = deadline.lift
    async with connection_of(pool):
        async with asyncio.timeout(5):
            with pytest.raises(TimeoutError):
                await deadline
        assert deadline.expired
        later = asyncio.create_task(work.shared(make, "k"))
    assert await later == 1
    await pool.close()


async def test_coalesced_reads_of_different_scopes_are_separate(database: str) -> None:
    pool = Pool(database, 4)
    deadline = asyncio.get_running_loop().time() + 10
    made = []

    async def make(db: Database) -> int:
        made.append(db)
        await asyncio.sleep(0.01)
        return len(made)

    one, other = Database(pool, deadline, "clients"), Database(pool, deadline, "employees")
    await asyncio.gather(one.shared(make, "k"), other.shared(make, "k"))
    assert len(made) == 2
    await pool.close()


async def test_coalesced_list_shows_all_writes_before_its_request(client: Client) -> None:
    """However many lists are under way: write, ask, see, over and over, among identical asks."""
    path, headers = "/services/statuses", {"authorization": f"Bearer {client.tokens['employee']}"}
    stop = asyncio.Event()

    async def ask_on() -> None:
        while not stop.is_set():
            assert (await client.request("GET", path, headers=headers)).status_code == 200

    asking = [asyncio.create_task(ask_on()) for _ in range(8)]
    for n in range(20):
        await execute(client.database_url, "update statuses set name = $1 where id = 1", f"n{n}")
        found = (await client.request("GET", path, headers=headers)).json()["statuses"]
        assert found[0]["name"] == f"n{n}"
    stop.set()
    await asyncio.gather(*asking)
