"""`X-Min-Registry-Revision`: whoever has applied a revision meets no older one."""

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


async def quickly(client: Client, revision: object) -> httpx2.Response:
    """An answer that comes long before the wait would end."""
    async with asyncio.timeout(follow.REVISION_TIMEOUT / 2):
        return await ask(client, revision)


def seen(answer: httpx2.Response) -> tuple[int, str | None, str]:
    """Status, what the action says, and the revision of the answer."""
    body = answer.json()
    return answer.status_code, body.get("data"), answer.headers["x-registry-revision"]


class Held:
    """Holds the worker back from every later revision, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self._go = asyncio.Event(), asyncio.Event()
        self._real = store.catch_up
        monkeypatch.setattr(store, "catch_up", self._catch_up)
        monkeypatch.setattr(follow, "REVISION_TIMEOUT", 60.0)

    async def _catch_up(self, connection: Connection, table: Table) -> Table:
        self.entered.set()
        await self._go.wait()
        return await self._real(connection, table)

    def let_go(self) -> None:
        self._go.set()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """A worker that is held back."""
    return Held(monkeypatch)


@pytest.mark.parametrize("revision", [0, 1, "01", "0" * 18])
async def test_min_revision_already_served_is_answered_at_once(
    worker: Client, revision: object
) -> None:
    assert seen(await quickly(worker, revision)) == (200, "1", "1")


async def test_min_revision_just_applied_is_served(
    worker: Client, registry: str, tmp_path: Path
) -> None:
    for number in range(2, 22):
        done = await applied(registry, desired(tmp_path, routes(str(number))))
        assert seen(await ask(worker, done.revision)) == (200, str(number), str(number))


async def test_min_revision_not_yet_loaded_is_waited_for(
    worker: Client, registry: str, tmp_path: Path, held: Held
) -> None:
    await applied(registry, desired(tmp_path, routes("2")))
    waiting = asyncio.create_task(ask(worker, 2))
    await held.entered.wait()
    await asyncio.sleep(0.05)
    assert not waiting.done()
    # Whoever does not ask for it is served meanwhile.
    assert seen(await worker.request("GET", PATH)) == (200, "1", "1")
    assert seen(await quickly(worker, 1)) == (200, "1", "1")
    held.let_go()
    assert seen(await waiting) == (200, "2", "2")


async def test_min_revision_is_satisfied_by_a_later_revision(
    worker: Client, registry: str, tmp_path: Path, held: Held
) -> None:
    for number in (2, 3, 4):
        await applied(registry, desired(tmp_path, routes(str(number))))
    waiting = [asyncio.create_task(ask(worker, number)) for number in (2, 3, 4)]
    await held.entered.wait()
    held.let_go()
    assert [seen(await each) for each in waiting] == [(200, "4", "4")] * 3


def refused(answer: httpx2.Response) -> None:
    body = answer.json()
    assert (answer.status_code, body["status"]) == (400, "invalid-param")
    assert body["errors"] == [{"attr": HEADER, "message": "unknown revision"}]


@pytest.mark.parametrize("revision", [2, 10**6, 10**18 - 1])
async def test_min_revision_never_applied_is_refused_at_once(worker: Client, revision: int) -> None:
    refused(await quickly(worker, revision))
    assert seen(await worker.request("GET", PATH)) == (200, "1", "1")


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
        refused(await answer)


async def test_min_revision_beyond_64_waiting_requests_is_unavailable(
    worker: Client, registry: str, tmp_path: Path, held: Held
) -> None:
    assert follow.MAX_WAITING == 64
    await applied(registry, desired(tmp_path, routes("2")))
    waiting = [asyncio.create_task(ask(worker, 2)) for _ in range(64)]
    await until(lambda: worker.worker.registry._waiting == 64)
    late = await quickly(worker, 2)
    assert (late.status_code, late.json()["status"]) == (503, "service-unavailable")
    assert int(late.headers["retry-after"]) >= 1
    assert seen(await quickly(worker, 1)) == (200, "1", "1")
    held.let_go()
    assert {seen(await each) for each in waiting} == {(200, "2", "2")}
    assert worker.worker.registry._waiting == 0


async def test_min_revision_client_that_leaves_frees_its_place(
    worker: Client, registry: str, tmp_path: Path, held: Held
) -> None:
    await applied(registry, desired(tmp_path, routes("2")))
    waiting = [asyncio.create_task(ask(worker, 2)) for _ in range(64)]
    await until(lambda: worker.worker.registry._waiting == 64)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert worker.worker.registry._waiting == 0
    one = asyncio.create_task(ask(worker, 2))
    held.let_go()
    assert seen(await one) == (200, "2", "2")


async def late(client: Client, revision: int) -> None:
    """The wait ends with a 503 that says when to come back, and not before its time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await ask(client, revision)
    assert loop.time() - began >= follow.REVISION_TIMEOUT * 0.9
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
        await late(worker, 2)
    assert seen(await ask(worker, 2)) == (200, "2", "2")


async def test_min_revision_is_never_unknown_during_a_database_outage(
    worker: Client, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Connection:
        raise OSError("away")

    monkeypatch.setattr(follow, "connect", away)
    monkeypatch.setattr(follow, "REVISION_TIMEOUT", 0.3)
    await execute(
        registry,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()",
    )
    await until(lambda: worker.worker.registry.problems)
    await late(worker, 2)
