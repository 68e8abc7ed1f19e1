"""The database handle of a service: work is retried where that is safe, otherwise unavailable."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from support.harness import execute

from gateway.database.connect import Connection
from gateway.database.errors import DatabaseError, DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 4)
    yield pool
    await pool.close()


def work(pool: Pool, seconds: float = 10) -> Database:
    return Database(pool, asyncio.get_running_loop().time() + seconds)


async def test_transaction_is_retried_after_a_deadlock(pool: Pool, database: str) -> None:
    rename = "update gateway.users set last_name = last_name || $2 where id = $1"
    each_holds_one = asyncio.Barrier(2)
    attempts = 0

    def crossing(first: int, second: int, mark: str):  # type: ignore[no-untyped-def] # noqa: ANN202
        async def rename_both(db: Connection) -> None:
            nonlocal attempts
            attempts += 1
            await db.execute(rename, first, mark)
            if attempts <= 2:
                await each_holds_one.wait()
            await db.execute(rename, second, mark)

        return rename_both

    await asyncio.gather(
        work(pool).transaction(crossing(1, 2, "a")), work(pool).transaction(crossing(2, 1, "b"))
    )
    assert attempts >= 3
    names = await execute(database, "select last_name from gateway.users where id < 3 order by id")
    assert {row["last_name"][-2:] for row in names} in ({"ab"}, {"ba"})


async def test_statement_whose_connection_breaks_is_unavailable(
    pool: Pool,
) -> None:
    with pytest.raises(DatabaseUnavailable):
        await work(pool).fetchrow("select pg_terminate_backend(pg_backend_pid())")
    row = await work(pool).fetchrow("select 1 as one")
    assert row is not None
    assert row["one"] == 1


async def test_statement_beyond_the_deadline_is_unavailable(
    pool: Pool,
) -> None:
    with pytest.raises(DatabaseUnavailable):
        await work(pool, 0.05).fetchrow("select pg_sleep(30)")


async def test_statement_with_a_mistake_is_not_an_outage(pool: Pool) -> None:
    for query, args, cause in (
        ("selekt 1", (), asyncpg.PostgresSyntaxError),
        ("select $1::int", (1, 2), asyncpg.InterfaceError),
    ):
        with pytest.raises(DatabaseError) as refused:
            await work(pool).fetchrow(query, *args)
        assert not isinstance(refused.value, DatabaseUnavailable)
        assert isinstance(refused.value.__cause__, cause)
