"""A database that went back: a revision's number may come twice, its random id never does.

A restore, or a fail-over to a replica that lost the last commits, is simulated by rewriting the
rows in one transaction, or by swapping two databases under a worker.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.harness import Client, Server, execute, logged, on, until
from support.mail import wait_for_rows
from support.manifests import Routes, applied, desired, keep, migrated, restore

from gateway.database.connect import Connection
from gateway.database.migrate import find_all, migrate
from gateway.manifest.apply import Author, apply, apply_all
from gateway.manifest.check import Desired
from gateway.manifest.plan import MovedError, from_file, plan, to_file
from gateway.manifest.rollback import OtherRevisionError, rollback
from gateway.manifest.wait import LateError, wait_for_workers
from gateway.registry import snapshot, store
from gateway.registry.follow import Registry
from gateway.registry.revision import Revision
from gateway.registry.table import Table
from gateway.runtime import events

AUTHOR = Author("tests")
NOTICE = "select * from gateway.notifications where kind = 'registry-went-back'"


def titled(folder: Path, title: str) -> Desired:
    return desired(folder, {"things.create": {"title": title}})


@pytest.fixture
async def url(empty_database: str, tmp_path: Path) -> str:
    """The address of a database at revision 1, the state to which it goes back."""
    await migrated(empty_database)
    await applied(empty_database, titled(tmp_path, "one"))
    await on(empty_database, keep)
    return empty_database


async def test_migrate_gives_existing_revisions_different_random_ids(empty_database: str) -> None:
    files = find_all()
    index = [file.name for file in files].index("gateway/0011_revision_ids.sql")
    await on(empty_database, lambda db: migrate(db, files[:index]))
    for number in (1, 2):
        await execute(
            empty_database,
            "insert into gateway.revisions (id, namespace, applied_by) values ($1, 'test', 'x')",
            number,
        )
    await on(empty_database, lambda db: migrate(db, files))
    uids = [
        row["uid"] for row in await execute(empty_database, "select uid from gateway.revisions")
    ]
    assert len({*uids} - {None}) == 2


async def go_back(url: str, *states: Desired) -> None:
    """Return to revision 1, and apply these states, as one commit."""

    async def work(connection: Connection) -> None:
        async with connection.transaction():
            await restore(connection)
            for state in states:
                await apply(connection, state, AUTHOR)

    await on(url, work)


@asynccontextmanager
async def following(registry: Registry) -> AsyncIterator[Registry]:
    tasks = [asyncio.create_task(run()) for run in (registry.follow, registry.keep_snapshot)]
    try:
        assert await registry.wait_loaded(10)
        yield registry
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def served(registry: Registry) -> tuple[int, str] | None:
    table = registry.current
    return (table.revision, table.routes["things.create"].title) if table else None


HISTORIES: list[tuple[list[str], list[str]]] = [
    (["a"], ["b"]),
    (["a"], []),
    (["a"], ["b", "c"]),
    (["a", "b", "c"], ["d"]),
]


@pytest.mark.parametrize(("lost", "new"), HISTORIES)
async def test_follow_loads_the_history_that_the_database_has_now(
    url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lost: list[str],
    new: list[str],
) -> None:
    for title in lost:
        await applied(url, titled(tmp_path, title))
    async with following(Registry(url)) as registry:
        before = registry.current
        assert served(registry) == (len(lost) + 1, lost[-1])
        await go_back(url, *(titled(tmp_path, title) for title in new))
        await until(lambda: served(registry) == (len(new) + 1, [*["one"], *new][-1]))
        now = registry.current
        assert registry.problems == ()
        [row] = await execute(url, "select uid from gateway.revisions order by id desc limit 1")
        assert now is not None
        assert now.revision_uid == row["uid"]
        await applied(url, titled(tmp_path, "next"))
        await until(lambda: served(registry) == (len(new) + 2, "next"))
    assert before is not None
    assert logged(caplog, events.REGISTRY_WENT_BACK) == [
        {
            "lost_revision": before.revision,
            "lost_uid": str(before.revision_uid),
            "revision": now.revision,
            "uid": str(now.revision_uid),
        }
    ]


async def test_follow_of_new_revisions_is_not_a_database_that_went_back(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with following(Registry(url)) as registry:
        for title in "ab":
            await applied(url, titled(tmp_path, title))
        await until(lambda: served(registry) == (3, "b"))
    assert logged(caplog, events.REGISTRY_WENT_BACK) == []


async def swap(server: Server, url: str, other: str) -> None:
    """Give the database of `url` the contents of another one, as a restore does."""
    name, source = (address.rpartition("/")[2].partition("?")[0] for address in (url, other))
    for database in (name, source):
        await execute(server.admin, f'alter database "{database}" with allow_connections false')
        await execute(
            server.admin,
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1",
            database,
        )
    await execute(server.admin, f'alter database "{name}" rename to "{name}_old"')
    await execute(server.admin, f'alter database "{source}" rename to "{name}"')
    await execute(server.admin, f'alter database "{name}" with allow_connections true')


async def test_worker_follows_a_restored_database_and_raises_one_notification(
    postgres: Server, client: Client, tmp_path: Path
) -> None:
    url, registry = client.database_url, client.worker.registry
    name = f"gateway_test_{uuid.uuid4().hex}"
    thing: Routes = {"things.create": {"title": "a"}}
    await applied(url, desired(tmp_path, thing))
    await until(lambda: (table := registry.current) and "things.create" in table.routes)
    old = registry.current
    admin = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(client.worker.admin.app), base_url="http://admin"
    )
    try:
        other = await postgres.create(name, "template0")
        await migrated(other)
        assert old is not None
        for number in range(old.revision):
            await applied(other, titled(tmp_path, f"b{number}"))
        await swap(postgres, url, other)
        await until(
            lambda: (table := registry.current) and table.revision_uid != old.revision_uid, 20
        )
        table = registry.current
        assert table is not None
        assert table.revision == old.revision
        assert table.routes["things.create"].title == f"b{old.revision - 1}"
        await wait_for_rows(url, NOTICE, 1)
        [row] = await execute(url, NOTICE)
        assert (row["severity"], row["count"], row["resolved_at"]) == ("error", 1, None)
        assert str(old.revision_uid) in row["message"]
        details = (await admin.get("/-/ready")).json()
        assert (details["revision"], details["revision_uid"]) == (
            table.revision,
            str(table.revision_uid),
        )
        answer = await client.post("/api/v1/things/create", {"token": "x"})
        assert answer.headers["x-registry-revision"] == str(table.revision)
    finally:
        await admin.aclose()
        await postgres.drop(f"{url.rpartition('/')[2].partition('?')[0]}_old")
        await postgres.drop(name)


async def wait(url: str, revision: Revision) -> None:
    await on(url, lambda db: wait_for_workers(db, revision, 0.1))


async def add_worker(url: str, revision: int, uid: uuid.UUID | None) -> None:
    await execute(
        url,
        "insert into gateway.workers (id, name, revision, revision_uid) "
        "values (gen_random_uuid(), 'w', $1, $2)",
        *(revision, uid),
    )


@pytest.mark.parametrize("revision", [2, 3])
async def test_wait_is_for_workers_on_a_history_that_the_database_lost(
    url: str, tmp_path: Path, revision: int
) -> None:
    await go_back(url, titled(tmp_path, "b"))
    newest = await on(url, store.newest)
    await add_worker(url, revision, uuid.uuid4())
    with pytest.raises(LateError, match=f"do not serve it yet: w at revision {revision}"):
        await wait(url, newest)
    await execute(url, "update gateway.workers set revision = $1, revision_uid = $2", *newest)
    await wait(url, newest)


async def test_wait_compares_a_worker_of_an_earlier_version_by_its_number(url: str) -> None:
    newest = await on(url, store.newest)
    await add_worker(url, newest.number, None)
    await wait(url, newest)


async def test_wait_does_not_end_for_a_revision_that_the_database_lost(
    url: str, tmp_path: Path
) -> None:
    lost = (await applied(url, titled(tmp_path, "a"))).identity
    await go_back(url, titled(tmp_path, "b"))
    await add_worker(url, *await on(url, store.newest))
    with pytest.raises(LateError):
        await wait(url, lost)


async def test_heartbeat_has_the_random_id(url: str) -> None:
    async with following(Registry(url)):
        newest = await on(url, store.newest)
        await wait_for_rows(
            url, f"select from gateway.workers where revision_uid = '{newest.uid}'", 1
        )


async def test_snapshot_of_a_lost_history_is_replaced_and_was_told(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "registry.snapshot"
    await applied(url, titled(tmp_path, "a"))
    lost = await on(url, store.load)
    await snapshot.save(path, lost)
    await go_back(url, titled(tmp_path, "b"))
    registry = Registry(url, path)
    registry.start_from_snapshot()
    assert served(registry) == (2, "a")
    async with following(registry):
        await until(lambda: served(registry) == (2, "b"))
        newest = await on(url, store.newest)
        await until(lambda: snapshot.saved_revision(path) == newest)
    [event] = logged(caplog, events.REGISTRY_WENT_BACK)
    assert (event["lost_uid"], event["uid"]) == (str(lost.revision_uid), str(newest.uid))


def test_snapshot_has_the_random_id(tmp_path: Path) -> None:
    path = tmp_path / "registry.snapshot"
    table = Table(2, revision_uid=uuid.uuid4())
    asyncio.run(snapshot.save(path, table))
    loaded = snapshot.load(path)
    assert loaded is not None
    assert loaded.identity == table.identity == snapshot.saved_revision(path)


async def test_pinned_plan_of_a_lost_history_is_refused(url: str, tmp_path: Path) -> None:
    await applied(url, titled(tmp_path, "a"))
    # Both histories hold the same records, so only the random id tells them apart.
    state = titled(tmp_path, "next")
    plans = await on(url, lambda db: plan(db, [state], prune=False))
    states, bases, prune = from_file(to_file(plans, [state], prune=False))
    await go_back(url, titled(tmp_path, "a"))
    with pytest.raises(MovedError, match="is now at another revision 2"):
        await on(url, lambda db: apply_all(db, states, AUTHOR, prune=prune, bases=bases))


async def test_rollback_refuses_a_revision_of_another_history(url: str, tmp_path: Path) -> None:
    lost = (await applied(url, titled(tmp_path, "a"))).identity
    await go_back(url, titled(tmp_path, "b"), titled(tmp_path, "c"))
    before = await on(url, store.newest)

    async def roll_back(uid: Any) -> Any:
        return await on(url, lambda db: rollback(db, 2, AUTHOR, uid=str(uid)[:8]))

    with pytest.raises(OtherRevisionError, match="revision 2 is another one here"):
        await roll_back(lost.uid)
    assert await on(url, store.newest) == before
    [row] = await execute(url, "select uid from gateway.revisions where id = 2")
    assert [outcome.revision for outcome in await roll_back(row["uid"])] == [4]
