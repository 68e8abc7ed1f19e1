"""Tables in ranges of ids: made from a table in use, added to ahead, never missing for a caller."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from support.harness import Client, execute, on
from support.manifests import locked

from gateway.database import partitions
from gateway.database.connect import Connection
from gateway.database.errors import DatabaseError
from gateway.database.handle import Database
from gateway.database.migrate import find_all, migrate
from gateway.database.pool import Pool

FIRST_END = 200_000_000
STEP = 100_000_000
RANGES = """
select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = $1::text::regclass order by c.oid
"""
BEFORE = """
insert into order_requests (id) values (1), (2);
insert into orders (order_request_id) values (1), (2);
insert into order_stages (order_id, order_request_id, stage, stage_start_at, created_at_fm)
select 1, 1, 's', now(), now() from generate_series(1, 3);
insert into order_statuses (order_request_id, order_stage_id, stage, stage_start_at, updated_at)
values (1, 3, 's', now(), now());
"""
STAGE = """
insert into order_stages (order_request_id, stage, stage_start_at, created_at_fm)
values (1, 's', now(), now())
"""
FILE = "select pg_relation_filenode('{}') as node"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 2)
    yield pool
    await pool.close()


async def names(url: str, table: str = "order_stages") -> list[str]:
    return [row["name"] for row in await execute(url, RANGES, table)]


async def add(pool: Pool) -> bool:
    return await partitions.add_missing(Database.within(pool, 10))


async def go_to(url: str, last: int) -> None:
    """Set the greatest id that was given to a stage."""
    await execute(url, "select setval('order_stages_id_seq', $1)", last)


async def test_partitions_of_stages_keep_the_rows_that_exist(empty_database: str) -> None:
    files = find_all()

    async def work(db: Connection) -> None:
        await migrate(db, [file for file in files if file.name < "services/0007"])
        await db.execute("set search_path to public, gateway")
        await db.execute(BEFORE)
        before = await db.fetchval(FILE.format("order_stages"))
        await migrate(db, files)
        # The same file on disk: no row was written again.
        assert await db.fetchval(FILE.format("order_stages_0")) == before
        assert await db.fetchval("select array_agg(id order by id) from order_stages") == [1, 2, 3]
        assert await db.fetchval("select nextval('order_stages_id_seq')") == 4
        assert await db.fetchval(
            "select bool_and(convalidated) from pg_constraint "
            "where confrelid = 'order_stages'::regclass"
        )
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await db.execute("update order_statuses set order_stage_id = 4")
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await db.execute("delete from order_stages where id = 3")
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await db.execute("update order_stages set order_id = 99 where id = 1")

    await on(empty_database, work)


async def test_partitions_of_stages_refuse_no_call_between_the_two_files(
    empty_database: str,
) -> None:
    files = find_all()

    async def work(db: Connection) -> None:
        await migrate(db, [file for file in files if file.name < "services/0008"])
        await db.execute("set search_path to public, gateway")
        await db.execute(BEFORE)
        await db.execute("select setval('order_stages_id_seq', $1::bigint)", FIRST_END - 2)
        await db.execute(STAGE)
        await migrate(db, files)
        await db.execute(STAGE)
        assert await db.fetchval("select max(id) from only order_stages_0") == FIRST_END - 1
        assert await db.fetchval("select max(id) from order_stages") == FIRST_END

    await on(empty_database, work)


async def test_partitions_of_stages_are_crossed_by_creates(client: Client, pool: Pool) -> None:
    await go_to(client.database_url, FIRST_END - 50_000_000)
    await client.create_stage(order_id=7, update_status=True, stage="first")
    # On a busy machine the worker's own maintenance may have added it.
    await add(pool)
    await go_to(client.database_url, FIRST_END - 2)
    for stage in ("second", "third", "fourth"):
        answer = await client.create_stage(order_id=7, update_status=True, stage=stage)
        assert answer.status_code == 200
    rows = await execute(
        client.database_url,
        "select id, tableoid::regclass::text as name from order_stages order by id",
    )
    assert [(row["id"], row["name"]) for row in rows[1:]] == [
        (FIRST_END - 1, "order_stages_0"),
        (FIRST_END, f"order_stages_{FIRST_END}"),
        (FIRST_END + 1, f"order_stages_{FIRST_END}"),
    ]
    path = "/api/v1/order_stages/history"
    answer = await client.post(path, {"token": client.tokens["employee"], "order_id": 7})
    stages = [one["stage"] for one in answer.json()["data"]["results"]]
    assert stages == ["fourth", "third", "second", "first"]


async def test_partitions_are_added_one_ahead_of_the_greatest_id(
    client: Client, pool: Pool
) -> None:
    url = client.database_url
    assert not await add(pool)
    await go_to(url, STEP)
    await client.create_stage(order_id=7, update_status=False, stage="s")
    assert await add(pool)
    assert not await add(pool)
    assert (await names(url))[2:] == [f"order_stages_{FIRST_END}"]


async def test_partitions_that_are_missing_refuse_no_call(client: Client, pool: Pool) -> None:
    url = client.database_url
    await go_to(url, 7 * STEP + 5)
    answer = await client.create_stage(order_id=7, update_status=True, stage="s")
    assert answer.status_code == 200
    [row] = await execute(url, "select tableoid::regclass::text as name from order_stages")
    assert row["name"] == "order_stages_rest"
    assert await add(pool)
    assert not await add(pool)
    # Ids that are given meanwhile still fit in the default partition.
    assert (await names(url))[2:] == [f"order_stages_{9 * STEP}"]
    assert (await client.create_stage(order_id=7, update_status=True, stage="t")).status_code == 200
    await go_to(url, 9 * STEP - 1)
    assert (await client.create_stage(order_id=7, update_status=True, stage="u")).status_code == 200
    assert await add(pool)


async def test_partitions_wait_for_no_transaction(client: Client, pool: Pool) -> None:
    await go_to(client.database_url, FIRST_END - 1)
    await client.create_stage(order_id=7, update_status=True, stage="s")
    async with locked(client.database_url, "order_statuses", "row exclusive"):
        with pytest.raises(DatabaseError):
            await add(pool)
        answer = await client.create_stage(order_id=8, update_status=True, stage="s")
        assert answer.status_code == 200
    assert await add(pool)


async def test_partitions_of_an_application_are_added_too(database: str, pool: Pool) -> None:
    await execute(database, "create schema parcels")
    await execute(
        database,
        "create table parcels.scans (at timestamptz, id bigint generated by default as identity "
        "primary key) partition by range (id)",
    )
    await execute(database, "select gateway.partition_ahead('parcels.scans', 10)")
    assert await names(database, "parcels.scans") == ["scans_rest", "scans_0"]
    assert not await add(pool)
    scans = "insert into parcels.scans (at) select now() from generate_series(1, 9)"
    for end in (10, 20):
        await execute(database, scans)
        assert await add(pool)
        assert (await names(database, "parcels.scans"))[-1] == f"scans_{end}"
    # An application that is gone with its tables stops nothing.
    await execute(database, "drop schema parcels cascade")
    assert not await add(pool)


async def test_partitions_have_the_privileges_of_their_table(database: str) -> None:
    async def work(db: Connection) -> None:
        transaction = db.transaction()
        await transaction.start()
        await db.execute("create role serving")
        await db.execute("grant select, insert on order_stages to serving")
        await db.execute("update gateway.range_partitions set step = 1000000000")
        assert await db.fetchval("select gateway.add_missing_partition()")
        privileges = "select has_table_privilege('serving', $1, 'insert')"
        assert await db.fetchval(privileges, f"order_stages_{FIRST_END}")
        await transaction.rollback()

    await on(database, work)
