"""Stored answers in a table for each hour: replays from any hour, tables emptied at once."""

import asyncio
import re

import asyncpg
import httpx2
import pytest
from support.harness import Client, execute, on
from support.manifests import locked

from gateway import Reply
from gateway.database.connect import Connection
from gateway.database.handle import Database
from gateway.database.migrate import find_all, migrate
from gateway.upstreams import idempotency
from gateway.upstreams.claims import Claim

CREATE = "/api/v1/order_stages/create"
STAGE = {"order_id": 7, "update_status": True, "stage": "scheduled"}

# What a gateway before the tables of hours runs.
EARLIER_STORE = """
insert into gateway.idempotency (key, fingerprint, answer, mail, mail_path)
select * from unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[], $5::text[])
on conflict (key) do update
set fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now(),
    mail = excluded.mail, mail_path = excluded.mail_path
"""
EARLIER_FIND = """
select i.key, i.answer from gateway.idempotency i left join gateway.outbox o on o.id = i.mail
where i.key = any ($1) and i.created_at > now() - interval '24 hours'
"""
EARLIER_SWEEP = "delete from gateway.idempotency where created_at < now() - interval '24 hours'"

HOURS = "select tableoid::regclass::text as name from gateway.idempotency order by 1"


async def create(client: Client, key: str = "k", **params: object) -> httpx2.Response:
    """Create a stage with an idempotency key."""
    headers = {"idempotency-key": key}
    params = {"token": client.tokens["employee"], **STAGE, **params}
    return await client.post(CREATE, params, headers=headers)


def is_replay(answer: httpx2.Response) -> bool:
    assert answer.status_code == 200
    return answer.headers.get("idempotent-replayed") == "true"


async def age(url: str, text: str) -> None:
    """Make the stored answers older, in the tables where they would be then."""

    async def work(db: Connection) -> None:
        [then] = await db.fetch("select now() - $1::text::interval as at", text)
        at = then["at"]
        hour = await db.fetchval("select gateway.idempotency_hour($1)", at)
        day = await db.fetchval("select gateway.idempotency_day($1)", at)
        await db.execute(
            f"""
            with old as (delete from gateway.idempotency returning *)
            insert into gateway.idempotency_{hour} (key, fingerprint, answer, created_at)
            select key, fingerprint, answer, $1 from old
            """,
            at,
        )
        await db.execute("update gateway.idempotency_keys set day = $1", day)

    await on(url, work)


async def sweep(client: Client) -> int:
    """Sweep until nothing is left to do; the number of tables that were emptied."""
    count = 0
    while await idempotency.sweep(Database.within(client.worker.lookup_pool, 10)):
        count += 1
    return count


async def keys(client: Client) -> int:
    [row] = await execute(client.database_url, "select count(*) from gateway.idempotency_keys")
    count: int = row["count"]
    return count


@pytest.mark.parametrize("hours", [1, 2, 12, 23])
async def test_idempotency_key_replays_from_the_table_of_an_earlier_hour(
    client: Client, hours: int
) -> None:
    first = await create(client)
    [before] = await execute(client.database_url, HOURS)
    await age(client.database_url, f"{hours} hours")
    [after] = await execute(client.database_url, HOURS)
    assert before["name"] != after["name"]
    assert await sweep(client) == 0
    again = await create(client)
    assert (again.content, is_replay(again)) == (first.content, True)


async def test_idempotency_key_expires_after_a_day(client: Client) -> None:
    await create(client)
    await age(client.database_url, "24 hours 1 second")
    assert not is_replay(await create(client, stage="ready"))
    # Both answers are there until the older one's table is emptied: the newer one counts.
    assert len(await execute(client.database_url, HOURS)) == 2
    assert is_replay(await create(client, stage="ready"))


async def test_idempotency_of_two_answers_under_a_key_replays_the_newer(client: Client) -> None:
    # A transaction that began before another one may still see the answer that had expired for it.
    await create(client)
    await age(client.database_url, "24 hours 1 second")
    newer = await create(client, stage="ready")
    await execute(
        client.database_url,
        "update gateway.idempotency set created_at = created_at + interval '2 seconds' "
        "where created_at < now() - interval '1 hour'",
    )
    again = await create(client, stage="ready")
    assert (again.content, is_replay(again)) == (newer.content, True)


async def test_idempotency_sweep_empties_the_tables_whose_answers_have_expired(
    client: Client,
) -> None:
    await create(client, "old")
    await age(client.database_url, "25 hours")
    await create(client, "new")
    await sweep(client)
    assert len(await execute(client.database_url, HOURS)) == 1
    assert is_replay(await create(client, "new"))
    assert not is_replay(await create(client, "old"))


async def test_idempotency_sweep_keeps_answers_that_may_still_be_valid(client: Client) -> None:
    for text in ("0 hours", "23 hours 59 minutes", "24 hours"):
        await create(client)
        await age(client.database_url, text)
        assert await sweep(client) == 0
        await execute(client.database_url, "delete from gateway.idempotency")


async def test_idempotency_sweep_empties_the_index_of_the_day_before_yesterday(
    client: Client,
) -> None:
    await create(client)
    for text, left in (("0 days", 1), ("1 day", 1), ("2 days", 0)):
        await age(client.database_url, text)
        await execute(client.database_url, "delete from gateway.idempotency")
        await sweep(client)
        assert await keys(client) == left


async def test_idempotency_works_without_maintenance_for_days(client: Client) -> None:
    # The table of this hour still has the answers of 26 hours ago, with the same key too.
    await create(client)
    await age(client.database_url, "26 hours")
    assert not is_replay(await create(client, stage="ready"))
    assert is_replay(await create(client, stage="ready"))
    assert not is_replay(await create(client, "other"))
    assert len(await execute(client.database_url, HOURS)) == 3


async def test_idempotency_sweep_does_not_wait_for_a_table_in_use(client: Client) -> None:
    await create(client)
    await age(client.database_url, "25 hours")
    [row] = await execute(client.database_url, HOURS)
    async with locked(client.database_url, row["name"], "access share"):
        await sweep(client)
        assert len(await execute(client.database_url, HOURS)) == 1
        assert not is_replay(await create(client))
    await sweep(client)
    assert len(await execute(client.database_url, HOURS)) == 1


async def test_idempotency_keys_of_an_earlier_gateway_and_this_one_are_the_same(
    database: str,
) -> None:
    old, new = (Claim(bytes([number]) * 32, b"f" * 32) for number in (200, 1))

    async def work(db: Connection) -> None:
        row = [old.key], [old.params], ["{}"], [None], [None]
        assert await db.execute(EARLIER_STORE, *row) == "INSERT 0 0"
        async with db.transaction():
            found = await idempotency.claim_or_replay(db, [old, new])
            assert [reply and reply.data for reply in found] == [{}, None]  # type: ignore[union-attr]
            await idempotency.store(db, [new], [Reply({"new": 1})])
        assert len(await db.fetch(EARLIER_FIND, [old.key, new.key])) == 2
        assert await db.execute(EARLIER_SWEEP) == "DELETE 0"
        assert await db.fetchval("select count(*) from gateway.idempotency") == 2
        assert not await db.fetchval("select count(*) from only gateway.idempotency")

    await on(database, work)


async def test_idempotency_migration_keeps_the_answers_from_before(empty_database: str) -> None:
    files = [file for file in find_all() if file.name.startswith("gateway/")]
    stored = [Claim(bytes([number]) * 32, b"f" * 32) for number in range(4)]

    async def store(db: Connection, claim: Claim) -> None:
        await db.execute(EARLIER_STORE, [claim.key], [claim.params], ["{}"], [None], [None])

    async def work(db: Connection) -> None:
        for claim, stop in zip(
            stored, ("gateway/0018", "gateway/0019", "gateway/0020"), strict=False
        ):
            await migrate(db, [file for file in files if file.name < stop])
            await store(db, claim)
        await migrate(db, files)
        await store(db, stored[-1])
        async with db.transaction():
            found = await idempotency.claim_or_replay(db, stored)
        assert all(isinstance(reply, Reply) for reply in found)
        # What was stored before is emptied once its newest answer has expired.
        empty = "select gateway.empty_expired_answers()"
        assert not await db.fetchval(empty)
        aged = "update gateway.idempotency_before set created_at = now() - interval '25 hours'"
        await db.execute(aged)
        assert await db.fetchval(empty)
        assert await db.fetchval("select count(*) from gateway.idempotency") == 1

    await on(empty_database, work)


async def test_idempotency_migration_gives_the_serving_role_its_privileges(
    empty_database: str,
) -> None:
    async def work(db: Connection) -> None:
        files = [file for file in find_all() if file.name.startswith("gateway/")]
        await migrate(db, [file for file in files if file.name < "gateway/0018"])
        # Roles are of the whole server, so that the test takes it back with its privileges.
        async with db.transaction():
            await db.execute(
                "create role serving; grant usage on schema gateway to serving; "
                "grant select, insert, update, delete on all tables in schema gateway to serving"
            )
            for file in files:
                if file.name >= "gateway/0018":
                    await db.execute("set local search_path to public, gateway")
                    await db.execute(file.text)
            await db.execute("set local role serving")
            claim = Claim(b"k" * 32, b"f" * 32)
            assert await idempotency.claim_or_replay(db, [claim]) == [None]
            await idempotency.store(db, [claim], [Reply({})])
            [reply] = await idempotency.claim_or_replay(db, [claim])
            assert isinstance(reply, Reply)
            assert not await db.fetchval("select gateway.empty_expired_answers()")
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await on(empty_database, work)


async def test_idempotency_lock_is_the_same_number_in_both_languages(database: str) -> None:
    for first in (0, 127, 128, 255):
        claim = Claim(bytes([first]) + b"\x01" * 31, b"")
        [row] = await execute(database, "select gateway.idempotency_lock($1) as lock", claim.key)
        assert row["lock"] == claim.lock


async def test_idempotency_look_up_reads_only_indexes(database: str) -> None:
    async def work(db: asyncpg.Connection) -> list[str]:
        await db.execute("load 'auto_explain'")
        await db.execute("set auto_explain.log_min_duration = 0")
        await db.execute("set auto_explain.log_nested_statements = on")
        plans: list[str] = []
        db.add_log_listener(lambda _, message: plans.append(message.message))
        await db.execute("set client_min_messages = log")
        claim = Claim(b"k" * 32, b"f" * 32)
        await idempotency.store(db, [claim], [Reply({})])
        async with db.transaction():
            await idempotency.claim_or_replay(db, [claim])
        await asyncio.sleep(0)
        return plans

    plans = "\n".join(await on(database, work))
    tables = set(
        re.findall(
            r"Index (?:Only )?Scan (?:on|using) idempotency_(\w+?)_(?:pkey|key\b|lock)", plans
        )
    )
    assert tables >= {"before", "keys_0", "keys_1", "keys_2", *map(str, range(26))}
    assert "Seq Scan on idempotency" not in plans
