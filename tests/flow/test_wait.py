"""`--wait`: an apply returns when every live worker serves it, or names the late workers."""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.harness import execute, on, until
from support.mail import wait_for_rows
from support.manifests import Routes, applied, desired

from gateway.database.connect import Connection
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.manifest.wait import LateError, wait_for_workers
from gateway.registry import follow, store
from gateway.registry.follow import Registry
from gateway.registry.revision import Revision
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
        worker = Registry(self.url)
        worker.name = name
        self.registries[name] = worker
        self.tasks[name] = asyncio.create_task(worker.follow())
        assert await worker.wait_loaded(10)
        return worker

    async def stop(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks.pop(name), return_exceptions=True)


@pytest.fixture
async def fleet(registry: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    """A fleet without workers, on a registry at revision 1."""
    await applied(registry, desired(tmp_path, routes("1")))
    workers = Fleet(registry)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_stop_all, workers)
        yield workers


async def _stop_all(fleet: Fleet) -> None:
    for name in [*fleet.tasks]:
        await fleet.stop(name)


async def wait(url: str, revision: int, seconds: float = 10) -> None:
    [row] = await execute(
        url, "select (select uid from gateway.revisions where id = $1) as uid", revision
    )
    await on(url, lambda db: wait_for_workers(db, Revision(revision, row["uid"]), seconds))


async def late_workers(url: str, revision: int) -> str:
    with pytest.raises(LateError) as error:
        await wait(url, revision, 0.1)
    text = str(error.value)
    prefix = f"revision {revision} is applied, but after 0.1 s some workers do not serve it yet: "
    assert text.startswith(prefix)
    return text.removeprefix(prefix)


async def add_worker(
    url: str, name: str, revision: int, *, seen_ago: float = 0, leaves: bool = False
) -> uuid.UUID:
    """Insert a row as another worker would. Returns its id."""
    worker_id = uuid.uuid4()
    await execute(
        url,
        "insert into gateway.workers (id, name, revision, seen_at, leaves) "
        "values ($1, $2, $3, now() - make_interval(secs => $4), $5)",
        *(worker_id, name, revision, seen_ago, leaves),
    )
    return worker_id


async def test_wait_without_live_workers_returns_at_once(fleet: Fleet) -> None:
    async with asyncio.timeout(5):
        await wait(fleet.url, 1)


async def test_wait_with_a_timeout_of_0_asks_once(fleet: Fleet) -> None:
    await wait(fleet.url, 2, 0)
    await fleet.start("w")
    await row_when(fleet.url, "revision = 1")
    with pytest.raises(LateError, match="do not serve it yet: w at revision 1"):
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


async def test_wait_ends_when_every_live_worker_serves_the_revision(
    fleet: Fleet, tmp_path: Path
) -> None:
    workers = [await fleet.start(f"w{number}") for number in range(3)]
    for number in range(2, 12):
        outcome = await applied(fleet.url, desired(tmp_path, routes(str(number))))
        await wait(fleet.url, outcome.revision)
        assert {worker.current and worker.current.revision for worker in workers} == {number}


async def test_wait_names_a_worker_that_cannot_build_the_revision_with_its_problem(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.catch_up
    failing: list[Table | None] = []

    async def fails(connection: Connection, table: Table) -> Table:
        if any(table is old for old in failing):
            raise KeyError("auth")
        return await real(connection, table)

    await fleet.start("fine")
    stuck = await fleet.start("stuck")
    failing.append(stuck.current)
    monkeypatch.setattr(follow, "DEAF_POLL_INTERVAL", 0.05)
    monkeypatch.setattr(store, "catch_up", fails)
    await applied(fleet.url, desired(tmp_path, routes("2")))
    await wait_for_rows(fleet.url, f"{WORKERS} where trouble is not null or revision = 2", 2)
    assert await late_workers(fleet.url, 2) == (
        "stuck at revision 1 (revision 2 cannot be built: KeyError('auth'))"
    )
    failing.clear()
    await wait(fleet.url, 2)
    assert stuck.problems == ()


async def test_wait_names_all_late_workers(fleet: Fleet, tmp_path: Path) -> None:
    await applied(fleet.url, desired(tmp_path, routes("2")))
    await add_worker(fleet.url, "b", 1)
    await add_worker(fleet.url, "a", 0)
    await add_worker(fleet.url, "c", 2)
    assert await late_workers(fleet.url, 2) == "a at revision 0; b at revision 1"


async def test_wait_ends_when_the_late_worker_catches_up(fleet: Fleet, tmp_path: Path) -> None:
    await applied(fleet.url, desired(tmp_path, routes("2")))
    worker = await add_worker(fleet.url, "slow", 1)
    waiting = asyncio.create_task(wait(fleet.url, 2))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await execute(fleet.url, "update gateway.workers set revision = 2 where id = $1", worker)
    async with asyncio.timeout(5):
        await waiting


async def test_wait_ignores_machines_that_are_gone_and_workers_that_take_no_calls(
    fleet: Fleet,
) -> None:
    await add_worker(fleet.url, "gone", 0, seen_ago=store.SILENT_TIMEOUT + 1)
    await add_worker(fleet.url, "unready", 0, seen_ago=store.WORKER_TIMEOUT + 1, leaves=True)
    async with asyncio.timeout(5):
        await wait(fleet.url, 1)
    await add_worker(fleet.url, "alive", 0, seen_ago=store.WORKER_TIMEOUT - 3, leaves=True)
    assert await late_workers(fleet.url, 1) == "alive at revision 0"


async def test_wait_counts_a_silent_worker_as_late_since_it_may_be_cut_off(fleet: Fleet) -> None:
    await add_worker(fleet.url, "cut-off", 0, seen_ago=100)
    assert (await late_workers(fleet.url, 1)).startswith("cut-off at revision 0 (silent for 10")
    await add_worker(fleet.url, "current", 1, seen_ago=100)
    await execute(fleet.url, "delete from gateway.workers where name = 'cut-off'")
    await wait(fleet.url, 1)


async def test_worker_marks_the_workers_of_its_machine_whose_processes_are_gone(
    fleet: Fleet,
) -> None:
    ended = await asyncio.create_subprocess_exec("true")
    await ended.wait()
    host, pid = socket.gethostname(), os.getpid()
    names = {
        "ended": f"{host}:{ended.pid}",
        "earlier process of this number": f"{host}:{pid}",
        "running": f"{host}:{os.getppid()}",
        "elsewhere": f"elsewhere:{ended.pid}",
    }
    for name in names.values():
        await add_worker(fleet.url, name, 0, seen_ago=1_000_000)
    # A worker of this very process.
    await add_worker(fleet.url, names["earlier process of this number"], 1)
    await fleet.start("new")
    left = [row["name"] for row in await execute(fleet.url, f"{WORKERS} where not leaves")]
    assert sorted(left) == sorted(["new", names["running"], names["elsewhere"], f"{host}:{pid}"])


async def test_wait_ignores_workers_that_stopped_in_order(fleet: Fleet) -> None:
    await fleet.start("one")
    await until(lambda: not fleet.registries["one"].problems)
    await fleet.stop("one")
    assert await execute(fleet.url, WORKERS) == []
    await wait(fleet.url, 7, 5)


async def test_worker_row_has_a_revision_once_it_is_served(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "DEAF_POLL_INTERVAL", 0.05)
    await fleet.start("one")

    first = await row_when(fleet.url, "revision = 1")
    assert (first["name"], first["revision"], first["trouble"]) == ("one", 1, None)
    await row_when(fleet.url, "seen_at > $1", first["seen_at"])
    await applied(fleet.url, desired(tmp_path, routes("2")))
    await wait(fleet.url, 2)
    last = await row_when(fleet.url, "true")
    assert (last["revision"], last["started_at"]) == (2, first["started_at"])


async def row_when(url: str, condition: str, *args: Any) -> Any:
    """The row of the only worker, once it meets a condition."""
    async with asyncio.timeout(10):
        while not (rows := await execute(url, f"{WORKERS} where {condition}", *args)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    [row] = rows
    return row


async def test_worker_rows_of_long_dead_workers_are_deleted(fleet: Fleet) -> None:
    await add_worker(fleet.url, "long dead", 0, seen_ago=3700)
    await add_worker(fleet.url, "dead", 0, seen_ago=3500)
    pool = Pool(fleet.url, 1)
    has_more = await store.sweep(Database.within(pool, 5.0))
    await pool.close()
    assert not has_more
    assert [row["name"] for row in await execute(fleet.url, WORKERS)] == ["dead"]
