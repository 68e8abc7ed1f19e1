"""Equal reads share one query, which starts after all callers that share it have asked."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from support.harness import Client, connection_of, execute, until

from gateway.database.coalesce import Coalescer
from gateway.database.errors import DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.runtime import trace_context
from gateway.runtime.lazy_timeout import LazyTimeout
from gateway.values import TraceContext


class Reader:
    """Reads that wait until `released`; each returns its number."""

    def __init__(self) -> None:
        self.started = 0
        self.released = asyncio.Event()
        self.error: Exception | None = None

    async def read(self, tell: Callable[[], None]) -> int:
        tell()
        self.started += 1
        number = self.started
        await self.released.wait()
        if self.error:
            raise self.error
        return number


async def test_coalesced_reads_during_a_query_share_the_next_query() -> None:
    shared, reader, started = Coalescer(), Reader(), []

    async def ask(name: str) -> int:
        number: int = await shared.read("key", reader.read, lambda: started.append(name))
        return number

    first = asyncio.create_task(ask("first"))
    await until(lambda: reader.started == 1)
    later = [asyncio.create_task(ask(f"later{n}")) for n in range(50)]
    await asyncio.sleep(0.01)
    assert (reader.started, started) == (1, ["first"])
    reader.released.set()
    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 50
    assert (reader.started, len(started)) == (2, 51)
    assert not shared._in_flight


async def test_coalesced_query_belongs_to_the_trace_of_its_own_first_caller() -> None:
    shared, reader, traces = Coalescer(), Reader(), list[TraceContext | None]()

    async def ask(trace: TraceContext | None) -> None:
        async def read(tell: Callable[[], None]) -> int:
            traces.append(trace_context.current.get())
            return await reader.read(tell)

        trace_context.current.set(trace)
        await shared.read("key", read, lambda: None)

    trace = TraceContext("1" * 32, "2" * 16, sampled=True, recorded=True)
    first = asyncio.create_task(ask(trace))
    await until(lambda: reader.started == 1)
    # The query before starts the next one.
    second = asyncio.create_task(ask(None))
    await asyncio.sleep(0.01)
    reader.released.set()
    await asyncio.gather(first, second)
    assert traces == [trace, None]


async def test_coalesced_reads_of_other_keys_do_not_wait() -> None:
    shared, held, free = Coalescer(), Reader(), Reader()
    free.released.set()
    waiting = asyncio.create_task(shared.read("a", held.read, lambda: None))
    assert await shared.read("b", free.read, lambda: None) == 1
    held.released.set()
    assert await waiting == 1


async def test_coalesced_read_error_reaches_its_callers_and_no_later_caller() -> None:
    shared, reader = Coalescer(), Reader()
    reader.error = DatabaseUnavailable("gone")
    calls = [asyncio.create_task(shared.read("k", reader.read, lambda: None)) for _ in range(3)]
    await until(lambda: reader.started == 1)
    reader.released.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseUnavailable] * 3
    reader.error = None
    assert await shared.read("k", reader.read, lambda: None) == 3


async def test_coalesced_read_survives_a_caller_that_leaves() -> None:
    shared, reader = Coalescer(), Reader()
    first = asyncio.create_task(shared.read("k", reader.read, lambda: None))
    await until(lambda: reader.started == 1)
    second = asyncio.create_task(shared.read("k", reader.read, lambda: None))
    await asyncio.sleep(0)
    first.cancel()
    reader.released.set()
    assert await second == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_coalesced_read_survives_a_caller_that_times_out(database: str) -> None:
    """The read starts after one of its callers has left at its deadline."""
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
        brief, patient = (asyncio.create_task(ask(seconds)) for seconds in (0.1, 10))
        with pytest.raises(TimeoutError):
            await brief
    async with asyncio.timeout(5):
        assert [await first, await patient, await ask(10)] == [1, 1, 1]
    await pool.close()


async def test_coalesced_read_without_callers_does_not_start(database: str) -> None:
    """Neither the read that waits for a connection nor the next one; later reads work."""
    pool, shared, finished = Pool(database, 1), Coalescer(), list[str]()

    def named(name: str) -> Callable[[Callable[[], None]], Awaitable[str]]:
        async def make(tell: Callable[[], None]) -> str:
            async with connection_of(pool):
                tell()
                finished.append(name)
            return name

        return make

    async with connection_of(pool):
        leaving = [asyncio.create_task(shared.read("k", named(n), lambda: None)) for n in "abc"]
        await until(lambda: pool._waiters)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await until(lambda: not shared._in_flight)
        stays = asyncio.create_task(shared.read("k", named("d"), lambda: None))
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await stays == "d"
    assert finished == ["d"]
    await pool.close()


async def test_coalesced_read_runs_as_the_last_caller_asked() -> None:
    shared, reader = Coalescer(), Reader()
    first = asyncio.create_task(shared.read("k", reader.read, lambda: None))
    await until(lambda: reader.started == 1)

    async def make(name: str, tell: Callable[[], None]) -> str:
        tell()
        return await asyncio.sleep(0, name)

    later = [
        asyncio.create_task(shared.read("k", partial(make, name), lambda: None)) for name in "ab"
    ]
    await asyncio.sleep(0)
    reader.released.set()
    assert [await task for task in (first, *later)] == [1, "b", "b"]


async def test_coalesced_read_that_is_cancelled_leaves_its_key_usable() -> None:
    shared, reader = Coalescer(), Reader()
    waiting = asyncio.create_task(shared.read("k", reader.read, lambda: None))
    await until(lambda: reader.started == 1)
    task = shared._in_flight["k"].task
    assert task
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    reader.released.set()
    assert await shared.read("k", reader.read, lambda: None) == 2


async def test_coalesced_read_without_a_connection_times_out(database: str) -> None:
    """It has not started by then, so its outcome is certain."""
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
    handles = []

    async def make(db: Database) -> int:
        handles.append(db)
        await asyncio.sleep(0.01)
        return len(handles)

    one, other = Database(pool, deadline, "clients"), Database(pool, deadline, "employees")
    await asyncio.gather(one.shared(make, "k"), other.shared(make, "k"))
    assert len(handles) == 2
    await pool.close()


async def test_coalesced_list_shows_all_writes_before_its_request(client: Client) -> None:
    """Write, request, check, over and over, among identical requests in flight."""
    path, headers = "/services/statuses", {"authorization": f"Bearer {client.tokens['employee']}"}
    stop = asyncio.Event()

    async def ask_repeatedly() -> None:
        while not stop.is_set():
            assert (await client.request("GET", path, headers=headers)).status_code == 200

    asking = [asyncio.create_task(ask_repeatedly()) for _ in range(8)]
    for n in range(20):
        await execute(client.database_url, "update statuses set name = $1 where id = 1", f"n{n}")
        statuses = (await client.request("GET", path, headers=headers)).json()["statuses"]
        assert statuses[0]["name"] == f"n{n}"
    stop.set()
    await asyncio.gather(*asking)
