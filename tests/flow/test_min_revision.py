"""`X-Min-Registry-Revision`: a client that has applied a revision is served by no older one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.harness import Client, execute, serving, until
from support.manifests import Routes, applied, desired

from gateway import Call, Reply
from gateway.database.connect import Connection
from gateway.registry import follow, store
from gateway.registry.table import Table
from gateway.upstreams.python import Actions

PATH = "/things"
HEADER = "x-min-registry-revision"


def routes(title: str) -> Routes:
    return {"things.read": {"method": "GET", "path": PATH, "auth": "public", "title": title}}


async def title(call: Call) -> Reply:
    return Reply(call.route.title)


@pytest.fixture
async def worker(registry: str, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a worker whose registry is at revision 1."""
    await applied(registry, desired(tmp_path, routes("1")))
    async with serving(registry, {}, actions=Actions({"things.read": title})) as client:
        yield client


async def ask(client: Client, revision: object) -> httpx2.Response:
    return await client.request("GET", PATH, headers={HEADER: str(revision)})


async def ask_briefly(client: Client, revision: object) -> httpx2.Response:
    """An answer that must come long before the wait would end."""
    async with asyncio.timeout(follow.REVISION_TIMEOUT / 2):
        return await ask(client, revision)


def summary(answer: httpx2.Response) -> tuple[int, str | None, str]:
    """The HTTP status, the title that the action returned, and the revision of the answer."""
    body = answer.json()
    return answer.status_code, body.get("data"), answer.headers["x-registry-revision"]


class PausedFollower:
    """Keeps the worker from loading later revisions until `resume`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self._resumed = asyncio.Event(), asyncio.Event()
        self._real = store.catch_up
        monkeypatch.setattr(store, "catch_up", self._catch_up)
        monkeypatch.setattr(follow, "REVISION_TIMEOUT", 60.0)

    async def _catch_up(self, connection: Connection, table: Table) -> Table:
        self.entered.set()
        await self._resumed.wait()
        return await self._real(connection, table)

    def resume(self) -> None:
        self._resumed.set()


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> PausedFollower:
    """Pauses the loading of later revisions."""
    return PausedFollower(monkeypatch)


@pytest.mark.parametrize("revision", [0, 1, "01", "0" * 18])
async def test_min_revision_already_served_is_answered_at_once(
    worker: Client, revision: object
) -> None:
    assert summary(await ask_briefly(worker, revision)) == (200, "1", "1")


async def test_min_revision_just_applied_is_served(
    worker: Client, registry: str, tmp_path: Path
) -> None:
    for number in range(2, 22):
        done = await applied(registry, desired(tmp_path, routes(str(number))))
        assert summary(await ask(worker, done.revision)) == (200, str(number), str(number))


async def test_min_revision_not_yet_loaded_is_waited_for(
    worker: Client, registry: str, tmp_path: Path, paused: PausedFollower
) -> None:
    await applied(registry, desired(tmp_path, routes("2")))
    waiting = asyncio.create_task(ask(worker, 2))
    await paused.entered.wait()
    await asyncio.sleep(0.05)
    assert not waiting.done()
    # Requests for the current revision are served meanwhile.
    assert summary(await worker.request("GET", PATH)) == (200, "1", "1")
    assert summary(await ask_briefly(worker, 1)) == (200, "1", "1")
    paused.resume()
    assert summary(await waiting) == (200, "2", "2")


async def test_min_revision_is_satisfied_by_a_later_revision(
    worker: Client, registry: str, tmp_path: Path, paused: PausedFollower
) -> None:
    for number in (2, 3, 4):
        await applied(registry, desired(tmp_path, routes(str(number))))
    waiting = [asyncio.create_task(ask(worker, number)) for number in (2, 3, 4)]
    await paused.entered.wait()
    paused.resume()
    assert [summary(await task) for task in waiting] == [(200, "4", "4")] * 3


def assert_refused(answer: httpx2.Response) -> None:
    body = answer.json()
    assert (answer.status_code, body["status"]) == (400, "invalid-param")
    assert body["errors"] == [{"attr": HEADER, "message": "the registry has no such revision yet"}]


@pytest.mark.parametrize("revision", [2, 10**6, 10**18 - 1])
async def test_min_revision_never_applied_is_refused_at_once(worker: Client, revision: int) -> None:
    assert_refused(await ask_briefly(worker, revision))
    assert summary(await worker.request("GET", PATH)) == (200, "1", "1")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "x", "-1", "+1", "1.0", "1e0", "0x1", "1 ", "1,1", "1_0", "9" * 19, "9" * 4000),
        *("١", "²", "1\x00"),
    ],
)
async def test_min_revision_that_is_not_a_number_is_refused_at_once(
    worker: Client, text: str
) -> None:
    answer = worker.request("GET", PATH, headers={HEADER.encode(): text.encode()})
    async with asyncio.timeout(follow.REVISION_TIMEOUT / 2):
        assert_refused(await answer)


async def test_min_revision_beyond_64_waiting_requests_is_unavailable(
    worker: Client, registry: str, tmp_path: Path, paused: PausedFollower
) -> None:
    assert follow.MAX_WAITING == 64
    await applied(registry, desired(tmp_path, routes("2")))
    waiting = [asyncio.create_task(ask(worker, 2)) for _ in range(64)]
    await until(lambda: worker.worker.registry._waiting == 64)
    refused = await ask_briefly(worker, 2)
    assert (refused.status_code, refused.json()["status"]) == (503, "service-unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert summary(await ask_briefly(worker, 1)) == (200, "1", "1")
    paused.resume()
    assert {summary(await task) for task in waiting} == {(200, "2", "2")}
    assert worker.worker.registry._waiting == 0


async def test_min_revision_client_that_leaves_frees_its_place(
    worker: Client, registry: str, tmp_path: Path, paused: PausedFollower
) -> None:
    await applied(registry, desired(tmp_path, routes("2")))
    waiting = [asyncio.create_task(ask(worker, 2)) for _ in range(64)]
    await until(lambda: worker.worker.registry._waiting == 64)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert worker.worker.registry._waiting == 0
    newcomer = asyncio.create_task(ask(worker, 2))
    paused.resume()
    assert summary(await newcomer) == (200, "2", "2")


async def assert_times_out(client: Client, revision: int) -> None:
    """The wait lasts its full time, and ends with a 503 with `Retry-After`."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    answer = await ask(client, revision)
    assert loop.time() - started >= follow.REVISION_TIMEOUT * 0.9
    assert (answer.status_code, answer.json()["status"]) == (503, "service-unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-registry-revision"] == "1"


async def test_min_revision_times_out_if_the_worker_cannot_follow(
    worker: Client, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: Any, __: Any) -> Table:
        raise KeyError

    with monkeypatch.context() as patched:
        patched.setattr(store, "catch_up", fails)
        patched.setattr(follow, "REVISION_TIMEOUT", 0.3)
        await applied(registry, desired(tmp_path, routes("2")))
        await assert_times_out(worker, 2)
    assert summary(await ask(worker, 2)) == (200, "2", "2")


async def test_min_revision_is_never_unknown_during_a_database_outage(
    worker: Client, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail_to_connect(*_: Any, **__: Any) -> Connection:
        raise OSError("away")

    monkeypatch.setattr(follow, "connect", fail_to_connect)
    monkeypatch.setattr(follow, "REVISION_TIMEOUT", 0.3)
    await execute(
        registry,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()",
    )
    await until(lambda: worker.worker.registry.problems)
    await assert_times_out(worker, 2)
