"""`--wait`: an apply returns when every live worker serves it, or names those that do not."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.harness import execute, on, until
from support.mail import rows_are
from support.manifests import Routes, applied, desired

from gateway.database.connect import Connection
from gateway.manifest.wait import LateError, wait_for_workers
from gateway.registry import follow, store
from gateway.registry.follow import Registry
from gateway.registry.table import Table

WORKERS = "select * from gateway.workers"


def routes(title: str) -> Routes:
    return {"things.create": {"title": title}}


class Fleet:
    """Workers that follow a registry, each with a name."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.registries: dict[str, Registry] = {}

    async def start(self, name: str) -> Registry:
        made = Registry(self.url)
        made.name = name
        self.registries[name] = made
        self.tasks[name] = asyncio.create_task(made.follow())
        assert await made.wait_loaded(10)
        return made

    async def stop(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks.pop(name), return_exceptions=True)


@pytest.fixture
async def fleet(registry: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    """No workers yet, over a registry at revision 1."""
    await applied(registry, desired(tmp_path, routes("1")))
    made = Fleet(registry)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_stop_all, made)
        yield made


async def _stop_all(fleet: Fleet) -> None:
    for name in [*fleet.tasks]:
        await fleet.stop(name)


async def wait(url: str, revision: int, seconds: float = 10) -> None:
    await on(url, lambda db: wait_for_workers(db, revision, seconds))


async def late(url: str, revision: int) -> str:
    with pytest.raises(LateError) as error:
        await wait(url, revision, 0.1)
    text = str(error.value)
    head = f"revision {revision} is applied, but after 0.1 s some workers do not serve it: "
    assert text.startswith(head)
    return text.removeprefix(head)


async def add_worker(url: str, name: str, revision: int, *, seen_ago: float = 0) -> uuid.UUID:
    """A row as a worker elsewhere writes it."""
    made = uuid.uuid4()
    await execute(
        url,
        "insert into gateway.workers (id, name, revision, seen_at) "
        "values ($1, $2, $3, now() - make_interval(secs => $4))",
        *(made, name, revision, seen_ago),
    )
    return made


async def test_where_no_worker_lives_there_is_nothing_to_wait_for(fleet: Fleet) -> None:
    async with asyncio.timeout(5):
        await wait(fleet.url, 1)


async def test_a_wait_without_time_asks_once(fleet: Fleet) -> None:
    await wait(fleet.url, 2, 0)
    await fleet.start("w")
    await row_when(fleet.url, "revision = 1")
    with pytest.raises(LateError, match="do not serve it: w at revision 1"):
        await wait(fleet.url, 2, 0)


async def test_wait_reports_a_database_that_does_not_answer(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: Any) -> list[str]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(store, "late_workers", hangs)
    with pytest.raises(LateError, match=r"the database did not say within 0\.1 s which workers"):
        await wait(fleet.url, 2, 0.1)


async def test_the_wait_ends_when_every_live_worker_serves_the_revision(
    fleet: Fleet, tmp_path: Path
) -> None:
    made = [await fleet.start(f"w{number}") for number in range(3)]
    for number in range(2, 12):
        done = await applied(fleet.url, desired(tmp_path, routes(str(number))))
        await wait(fleet.url, done.revision)
        assert {each.current and each.current.revision for each in made} == {number}


async def test_a_worker_that_cannot_build_the_revision_is_named_with_its_trouble(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.catch_up
    bad: list[Table | None] = []

    async def fails(connection: Connection, table: Table) -> Table:
        if any(table is each for each in bad):
            raise KeyError("auth")
        return await real(connection, table)

    await fleet.start("fine")
    held = await fleet.start("held")
    bad.append(held.current)
    monkeypatch.setattr(follow, "POLL_INTERVAL", 0.05)
    monkeypatch.setattr(store, "catch_up", fails)
    await applied(fleet.url, desired(tmp_path, routes("2")))
    await rows_are(fleet.url, f"{WORKERS} where trouble is not null or revision = 2", 2)
    assert await late(fleet.url, 2) == (
        "held at revision 1 (revision 2 cannot be built: KeyError('auth'))"
    )
    bad.clear()
    await wait(fleet.url, 2)
    assert held.problems == ()


async def test_all_that_are_late_are_named(fleet: Fleet, tmp_path: Path) -> None:
    await applied(fleet.url, desired(tmp_path, routes("2")))
    await add_worker(fleet.url, "b", 1)
    await add_worker(fleet.url, "a", 0)
    await add_worker(fleet.url, "c", 2)
    assert await late(fleet.url, 2) == "a at revision 0; b at revision 1"


async def test_a_late_worker_that_follows_ends_the_wait(fleet: Fleet, tmp_path: Path) -> None:
    await applied(fleet.url, desired(tmp_path, routes("2")))
    worker = await add_worker(fleet.url, "slow", 1)
    waiting = asyncio.create_task(wait(fleet.url, 2))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await execute(fleet.url, "update gateway.workers set revision = 2 where id = $1", worker)
    async with asyncio.timeout(5):
        await waiting


async def test_a_dead_worker_is_not_waited_for(fleet: Fleet) -> None:
    await add_worker(fleet.url, "dead", 0, seen_ago=store.WORKER_TIMEOUT + 1)
    async with asyncio.timeout(5):
        await wait(fleet.url, 1)
    await add_worker(fleet.url, "alive", 0, seen_ago=store.WORKER_TIMEOUT - 3)
    assert await late(fleet.url, 1) == "alive at revision 0"


async def test_a_worker_that_stops_in_order_is_not_waited_for(fleet: Fleet) -> None:
    await fleet.start("one")
    await until(lambda: not fleet.registries["one"].problems)
    await fleet.stop("one")
    assert await execute(fleet.url, WORKERS) == []
    await wait(fleet.url, 7, 5)


async def test_a_worker_says_what_it_serves_once_it_serves_it(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "POLL_INTERVAL", 0.05)
    await fleet.start("one")

    first = await row_when(fleet.url, "revision = 1")
    assert (first["name"], first["revision"], first["trouble"]) == ("one", 1, None)
    await row_when(fleet.url, "seen_at > $1", first["seen_at"])
    await applied(fleet.url, desired(tmp_path, routes("2")))
    await wait(fleet.url, 2)
    last = await row_when(fleet.url, "true")
    assert (last["revision"], last["started_at"]) == (2, first["started_at"])


async def row_when(url: str, condition: str, *args: Any) -> Any:
    """The only worker's row, once it is so."""
    async with asyncio.timeout(10):
        while not (rows := await execute(url, f"{WORKERS} where {condition}", *args)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    [row] = rows
    return row


async def test_rows_of_workers_that_died_long_ago_are_swept_up(fleet: Fleet) -> None:
    await add_worker(fleet.url, "long dead", 0, seen_ago=3700)
    await add_worker(fleet.url, "dead", 0, seen_ago=3500)
    await fleet.start("one")
    await fleet.stop("one")
    assert [row["name"] for row in await execute(fleet.url, WORKERS)] == ["dead"]
