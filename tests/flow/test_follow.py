"""Following the registry despite lost notices, lost connections and invalid rows."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.harness import ROOT, Client, Server, execute, on, serving, until
from support.manifests import Routes, applied, desired, locked, migrated
from support.proxies import Proxy

from gateway import Call, Reply
from gateway.database.connect import Connection
from gateway.database.listen import Listener
from gateway.manifest.check import Desired, check
from gateway.registry import follow, store
from gateway.registry.follow import Registry
from gateway.registry.records import Service
from gateway.registry.table import Table
from gateway.upstreams.python import Actions

ONE: Routes = {"things.create": {}}
TWO: Routes = {"things.create": {"title": "New"}, "things.read": {}}


@pytest.fixture
async def url(empty_database: str, tmp_path: Path) -> str:
    """The address of a database whose registry is at revision 1."""
    await migrated(empty_database)
    await applied(empty_database, desired(tmp_path, ONE))
    return empty_database


@asynccontextmanager
async def following(url: str, listen_url: str | None = None) -> AsyncIterator[Registry]:
    listener = Listener(listen_url or url)
    registry = Registry(url, backend=lambda: listener.backend)
    listener.subscribe(store.CHANNEL, lambda _: registry.poll_now(), registry.poll_now)
    tasks = [asyncio.create_task(run()) for run in (registry.follow, listener.run)]
    try:
        yield registry
        assert not any(task.done() for task in tasks), "the follower has stopped"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def wait_for_revision(registry: Registry, revision: int) -> None:
    """Wait until a revision is served and there is no problem."""

    def is_served() -> bool:
        table = registry.current
        return table is not None and table.revision == revision and not registry.problems

    await until(is_served)


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave NOTIFY as the only trigger: the next poll would come after the test."""
    for interval in ("POLL_INTERVAL", "DEAF_POLL_INTERVAL"):
        monkeypatch.setattr(follow, interval, 600.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll and reconnect almost immediately."""
    for interval in ("POLL_INTERVAL", "DEAF_POLL_INTERVAL"):
        monkeypatch.setattr(follow, interval, 0.02)
    monkeypatch.setattr(follow, "MAX_PAUSE", 0.05)


NEXT_REVISION = """
insert into gateway.revisions (id, namespace, applied_by)
select max(id) + 1, 'test', 'nobody' from gateway.revisions
"""
CORRUPT_REVISION = """
with next as (
    insert into gateway.revisions (id, namespace, applied_by)
    select max(id) + 1, 'test', 'nobody' from gateway.revisions
    returning id
)
insert into gateway.changes (revision, kind, name, namespace, after)
select next.id, '{kind}', name, namespace, {after} from gateway.{kind}s, next
"""
KILL_OTHERS = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


async def test_follow_loads_the_newest_revision_at_the_start(url: str) -> None:
    async with following(url) as registry:
        assert await registry.wait_loaded(10)
        await wait_for_revision(registry, 1)


@pytest.mark.usefixtures("no_poll")
async def test_follow_loads_a_new_revision_on_notify(url: str, tmp_path: Path) -> None:
    async with following(url) as registry:
        await wait_for_revision(registry, 1)
        before = registry.current
        await applied(url, desired(tmp_path, TWO))
        await wait_for_revision(registry, 2)
    assert before is not None
    assert registry.current is not None
    assert [*registry.current.routes] == ["things.create", "things.read"]
    assert registry.current.routes["things.create"].title == "New"
    assert [*before.routes] == ["things.create"]
    assert before.routes["things.create"].title == "T"


@pytest.mark.usefixtures("no_poll")
async def test_follow_after_many_notices_is_at_the_newest_revision(
    url: str, tmp_path: Path
) -> None:
    async with following(url) as registry:
        await wait_for_revision(registry, 1)
        for number in range(20):
            await applied(url, desired(tmp_path, {"things.create": {"title": str(number)}}))
        await wait_for_revision(registry, 21)


@pytest.mark.usefixtures("quick")
async def test_follow_polls_for_a_revision_whose_notice_was_lost(url: str) -> None:
    async with following(url) as registry:
        await wait_for_revision(registry, 1)
        await execute(url, NEXT_REVISION)  # like apply, but without its notice
        await wait_for_revision(registry, 2)


@pytest.mark.usefixtures("no_poll")
async def test_follow_reconnects_a_lost_listener_and_polls_at_once(
    url: str, tmp_path: Path
) -> None:
    async with following(url) as registry:
        await wait_for_revision(registry, 1)
        for revision in (2, 3, 4):
            await execute(url, KILL_OTHERS)
            title = {"title": str(revision)}
            await applied(url, desired(tmp_path, {"things.create": title}))
            await wait_for_revision(registry, revision)


@pytest.mark.usefixtures("no_poll")
async def test_follow_replaces_a_listener_that_is_silent(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.database.listen.PING_INTERVAL", 0.5)
    async with Proxy(url).running() as proxy, following(url, proxy.url) as registry:
        await wait_for_revision(registry, 1)
        for revision in (2, 3):
            await until(lambda: proxy.talking)
            proxy.silence()
            await applied(url, desired(tmp_path, {"things.create": {"title": str(revision)}}))
            await wait_for_revision(registry, revision)


@pytest.mark.usefixtures("quick")
async def test_follow_keeps_the_last_table_during_a_database_outage(
    url: str, postgres: Server, tmp_path: Path
) -> None:
    [row] = await execute(url, "select current_database()")
    allow = f'alter database "{row[0]}" with allow_connections'
    async with following(url) as registry:
        await wait_for_revision(registry, 1)
        await execute(postgres.admin, f"{allow} false")
        await execute(
            postgres.admin,
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1",
            row[0],
        )
        await until(lambda: "cannot be used" in " ".join(registry.problems))
        assert registry.current is not None
        assert registry.current.revision == 1
        await execute(postgres.admin, f"{allow} true")
        await applied(url, desired(tmp_path, TWO))
        await wait_for_revision(registry, 2)


@pytest.mark.usefixtures("quick")
async def test_follow_reports_a_database_without_tables_and_waits_for_them(
    empty_database: str, tmp_path: Path
) -> None:
    async with following(empty_database) as registry:
        await until(lambda: "gateway migrate" in " ".join(registry.problems))
        assert registry.current is None
        assert not await registry.wait_loaded(0.01)
        await migrated(empty_database)
        await wait_for_revision(registry, 0)
        await applied(empty_database, desired(tmp_path, ONE))
        await wait_for_revision(registry, 1)


@pytest.mark.usefixtures("quick")
async def test_follow_continues_after_a_cancelled_query(url: str, tmp_path: Path) -> None:
    cancel = (
        "select pg_cancel_backend(pid) from pg_stat_activity "
        "where datname = current_database() and wait_event_type = 'Lock'"
    )
    async with following(url) as registry:
        await wait_for_revision(registry, 1)
        async with asyncio.timeout(20), locked(url, "gateway.revisions"):
            while not await execute(url, cancel):
                continue
            await until(lambda: registry.problems)
        await applied(url, desired(tmp_path, TWO))
        await wait_for_revision(registry, 2)


BROKEN = [
    ("route", "'{}'::jsonb"),
    ("route", "record - 'auth'"),
    ("route", """record || '{"path": "nowhere"}'"""),
    ("service", "'{}'::jsonb"),
]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("kind", "after"), BROKEN)
async def test_follow_keeps_the_last_table_if_a_revision_cannot_be_built(
    url: str, tmp_path: Path, kind: str, after: str
) -> None:
    async with following(url) as registry:
        await wait_for_revision(registry, 1)
        before = registry.current
        await execute(url, CORRUPT_REVISION.format(kind=kind, after=after))
        await until(lambda: registry.problems)
        assert registry.problems[0].startswith("revision 2 cannot be built: ")
        assert registry.current is before
        await execute(url, "delete from gateway.changes where revision = 2")
        await applied(url, desired(tmp_path, TWO))
        await wait_for_revision(registry, 3)


@pytest.mark.usefixtures("quick")
async def test_follow_logs_a_lasting_problem_once(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    polls = 0

    async def fails(_: Connection, __: Table) -> Table:
        nonlocal polls
        polls += 1
        raise KeyError

    async with following(url) as registry:
        await wait_for_revision(registry, 1)
        monkeypatch.setattr(store, "catch_up", fails)
        await execute(url, NEXT_REVISION)
        await until(lambda: polls >= 5)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    problems = [vars(record)["fields"]["problem"] for record in errors]
    assert problems == [*registry.problems]


async def ready(client: Client) -> tuple[int, dict[str, Any]]:
    response = await client._http.get("/-/ready")
    return response.status_code, response.json()


@pytest.mark.usefixtures("quick")
async def test_worker_that_cannot_follow_still_serves_and_is_degraded(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens) as client:
        code, body = await ready(client)
        assert (code, body["ready"], body["degraded"]) == (200, True, False)
        await execute(database, CORRUPT_REVISION.format(kind="route", after="'{}'::jsonb"))
        await until(lambda: client.worker.registry.problems)
        code, body = await ready(client)
        assert (code, body["ready"], body["degraded"]) == (200, True, True)
        assert body["trouble"] == ["revision 2 cannot be built"]
        response = await client.create_stage(order_id=7)
        assert response.status_code == 200
        assert int(response.headers["x-registry-revision"]) == body["revision"]


def plano(title: str) -> Desired:
    """The repository's manifest with another title for one route."""
    [manifest] = check(ROOT / "routes.yaml")
    manifest.routes["order_stages.create"].record["title"] = title
    return manifest


async def test_request_in_flight_sees_only_one_table(database: str, tokens: dict[str, str]) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def titles(call: Call) -> Reply:
        before = call.route.title
        entered.set()
        await leave.wait()
        return Reply([before, call.route.title])

    actions = Actions({"order_stages.create": titles})
    async with serving(database, tokens, actions=actions, check_returns="none") as client:
        registry = client.worker.registry
        assert registry.current is not None
        old = registry.current.revision
        in_flight = asyncio.create_task(client.create_stage(order_id=7))
        await entered.wait()
        new = (await applied(database, plano("New"))).revision
        await wait_for_revision(registry, new)
        leave.set()
        answers = [await in_flight, await client.create_stage(order_id=7)]
    assert [int(answer.headers["x-registry-revision"]) for answer in answers] == [old, new]
    title = "Order Stages Create API"
    assert [answer.json()["data"] for answer in answers] == [[title, title], ["New", "New"]]


async def test_requests_are_answered_while_routes_change(
    database: str, tokens: dict[str, str]
) -> None:
    async def done(_: Call) -> Reply:
        return Reply()

    async def change() -> None:
        for number in range(3):
            await applied(database, plano(f"Title {number}"))

    actions = Actions({"order_stages.create": done})
    async with serving(database, tokens, actions=actions, check_returns="none") as client:
        changing = asyncio.create_task(change())
        revisions: list[int] = []
        while not changing.done() or len(set(revisions)) < 2:
            await asyncio.sleep(0.005)
            answer = await client.create_stage(order_id=7)
            assert answer.status_code == 200, answer.text
            revisions.append(int(answer.headers["x-registry-revision"]))
        await changing
    assert revisions == sorted(revisions)


async def test_registry_load_sees_nothing_of_a_concurrent_apply(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.services

    async def apply_and_load(connection: Connection) -> list[Service]:
        await applied(url, desired(tmp_path, TWO))
        return await real(connection)

    with monkeypatch.context() as patched:
        patched.setattr(store, "services", apply_and_load)
        old = await on(url, store.load)
    assert (old.revision, old.routes["things.create"].title, len(old.routes)) == (1, "T", 1)
    new = await on(url, store.load)
    assert (new.revision, new.routes["things.create"].title, len(new.routes)) == (2, "New", 2)
