"""Sweeps of old rows: in slices, beside each other, and in the middle of a fail-over."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest
from support.harness import execute, on
from support.manifests import locked

from gateway.database.connect import Connection
from gateway.database.errors import DatabaseError
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.slices import SLICE
from gateway.identity import counts, old_sessions, resets
from gateway.monitoring import history
from gateway.notifications import late_workers
from gateway.outbox import dispatcher
from gateway.registry import store

Sweep: TypeAlias = Callable[[Database], Awaitable[bool]]

OLD = "now() - interval '100 days'"
ROWS = SLICE + 1

# The sweep, its table, and the insert of rows of the age that is its first value.
SWEEPS: dict[str, tuple[Sweep, str, str]] = {
    "counts": (
        counts.sweep,
        "gateway.counts",
        "(key, started, count) select sha256(g::text::bytea), {at}, 1",
    ),
    "resets": (
        resets.sweep,
        "gateway.password_resets",
        "(user_id, token_hash, expires_at) select 1, sha256(g::text::bytea), {at} + '1 hour'",
    ),
    "sessions": (
        old_sessions.sweep,
        "gateway.sessions",
        "(user_id, token_hash, created_at, revoked_at) select 1, sha256(g::text::bytea), t, t",
    ),
    "outbox": (
        dispatcher.sweep,
        "gateway.outbox",
        "(kind, payload, state, created_at) select 'mail', '{{}}', 'sent', {at}",
    ),
    "notifications": (
        late_workers.sweep,
        "gateway.notifications",
        "(kind, severity, fold, message, resolved_at) select 'k', 'error', g::text, 'm', {at}",
    ),
    "samples": (
        history.sweep,
        "gateway.samples",
        "(at, sample) select {at} - g * interval '1 microsecond', '{{}}'",
    ),
    "figures": (
        history.sweep,
        "gateway.figures",
        "(worker, at, figures, windows) select gen_random_uuid(), {at}, '{{}}', '[]'",
    ),
    "workers": (
        store.sweep,
        "gateway.workers",
        "(id, name, revision, seen_at) select gen_random_uuid(), 'w', 1, {at}",
    ),
}


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 3)
    yield pool
    await pool.close()


def insert(name: str, at: str, rows: int) -> str:
    _, table, columns = SWEEPS[name]
    source = f"generate_series(1, {rows}) as g, (select {at} as t) as age"
    return f"insert into {table} {columns.format(at=at)} from {source}"


async def count(url: str, name: str) -> int:
    [row] = await execute(url, f"select count(*) from {SWEEPS[name][1]}")
    number: int = row["count"]
    return number


@pytest.mark.parametrize("name", SWEEPS)
async def test_sweep_deletes_a_slice_at_a_time_and_only_old_rows(
    database: str, pool: Pool, name: str
) -> None:
    sweep = SWEEPS[name][0]
    others = await count(database, name)
    await execute(database, insert(name, OLD, ROWS))
    assert await sweep(Database.within(pool, 10)) is True
    assert await count(database, name) == others + ROWS - SLICE
    assert await sweep(Database.within(pool, 10)) is False
    assert await count(database, name) == others
    await execute(database, insert(name, "now()", 10))
    assert await sweep(Database.within(pool, 10)) is False
    assert await count(database, name) == others + 10


@pytest.mark.parametrize("name", SWEEPS)
async def test_sweep_of_two_workers_at_once_shares_the_work(
    database: str, pool: Pool, name: str
) -> None:
    sweep = SWEEPS[name][0]
    others = await count(database, name)
    await execute(database, insert(name, OLD, 2 * SLICE))
    await asyncio.gather(*(sweep(Database.within(pool, 10)) for _ in range(2)))
    while await sweep(Database.within(pool, 10)):
        pass
    assert await count(database, name) == others


async def test_sweep_does_not_wait_for_a_locked_row(database: str, pool: Pool) -> None:
    await execute(database, insert("outbox", OLD, 3))

    async def work(db: Connection) -> None:
        async with db.transaction():
            await db.execute("select from gateway.outbox order by id limit 1 for update")
            assert await dispatcher.sweep(Database.within(pool, 10)) is False
            assert await count(database, "outbox") == 1

    await on(database, work)


async def test_sweep_that_is_cut_by_a_fail_over_loses_one_slice(database: str, pool: Pool) -> None:
    await execute(database, insert("outbox", OLD, 3 * SLICE))
    await execute(database, insert("outbox", "now()", 5))
    assert await dispatcher.sweep(Database.within(pool, 10))
    cut = (
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
        "and query like '%delete from gateway.outbox%' and wait_event_type = 'Lock'"
    )
    async with locked(database, "gateway.outbox"):
        sweeping = asyncio.create_task(dispatcher.sweep(Database.within(pool, 30)))

        while not await execute(database, cut):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        with pytest.raises(DatabaseError):
            await sweeping
    assert await count(database, "outbox") == 2 * SLICE + 5
    # The next holder of the lease, or this one, goes on where it stopped.
    while await dispatcher.sweep(Database.within(pool, 10)):
        pass
    assert await count(database, "outbox") == 5
