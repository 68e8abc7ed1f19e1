"""A route that flips between two services under load: no request sees a mix, or nothing at all."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.harness import Client, on, serving
from support.manifests import Routes, applied, desired

from gateway import Call, Reply
from gateway.database.connect import Connection
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import Desired
from gateway.registry import overlay_map
from gateway.upstreams.python import Actions

FLIPS = int(os.environ.get("GATEWAY_TEST_FLIPS", "200"))
CALLERS = 4


def sides(folder: Path, one: dict[str, Any], other: dict[str, Any]) -> list[Desired]:
    """What a namespace holds on either side of a flip; both services are always there."""
    kept: Routes = {"ones.kept": {}, "others.kept": {}}
    base = {"method": "GET", "path": "/flip", "auth": "public"}
    return [desired(folder, {**kept, "flip.read": {**base, **side}}) for side in (one, other)]


def actions() -> Actions:
    async def one(call: Call) -> Reply:
        await asyncio.sleep(0)
        return Reply(["ones", call.route.title, call.route.handler, call.params])

    async def other(call: Call) -> Reply:
        await asyncio.sleep(0)
        return Reply(["others", call.route.title, call.route.handler, call.params])

    return Actions({"ones.read": one, "others.read": other, "flip.read": one})


async def get(app: Any, path: str) -> tuple[int, int, Any]:
    """Status, revision and body of an answer; straight from the application, to ask often."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    head, body = sent
    revision = int(dict(head["headers"])[b"x-registry-revision"])
    return head["status"], revision, orjson.loads(body["body"])


class Load:
    """Callers that go on until they are told, and note each answer with its revision."""

    def __init__(self, client: Client, path: str) -> None:
        self.answers: list[tuple[int, int, Any]] = []
        self._app = client.worker.app
        self._path = path
        self._over = False
        self._tasks = [asyncio.create_task(self._call()) for _ in range(CALLERS)]

    async def _call(self) -> None:
        while not self._over:
            self.answers.append(await get(self._app, self._path))
            await asyncio.sleep(0.001)

    async def end(self) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)


async def elsewhere(url: str, work: Callable[[Connection], Awaitable[None]]) -> None:
    """Some work in a thread with an event loop of its own: the load is not to slow it down."""
    await asyncio.to_thread(lambda: asyncio.run(on(url, work)))


@pytest.mark.parametrize("on_top", [overlay_map.MAX_OVERLAY, 3], ids=["layered", "merged"])
async def test_every_answer_is_of_one_revision_whole(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_top: int
) -> None:
    monkeypatch.setattr(overlay_map, "MAX_OVERLAY", on_top)
    both = sides(
        tmp_path,
        {"handler": "ones.read", "title": "One"},
        {"handler": "others.read", "title": "Other"},
    )
    expected = {
        0: ["others", "Other", "others.read", {}],
        1: ["ones", "One", "ones.read", {}],
    }

    async def flip(connection: Connection) -> None:
        for number in range(2, FLIPS + 1):
            done = await apply(connection, both[(number + 1) % 2], Author("tests"))
            assert done.revision == number

    await applied(registry, both[0])
    async with serving(registry, {}, actions=actions()) as client:
        load = Load(client, "/flip")
        await elsewhere(registry, flip)
        last = await client.request("GET", "/flip", headers={"x-min-registry-revision": str(FLIPS)})
        await load.end()
    assert int(last.headers["x-registry-revision"]) == FLIPS
    for code, revision, body in load.answers:
        assert (code, body["status"]) == (200, "action-successful"), body
        assert body["data"] == expected[revision % 2]
    met = [revision for _, revision, _ in load.answers]
    assert met == sorted(met)
    assert len(set(met)) > FLIPS / 10


async def test_a_route_that_flips_between_two_shapes_of_path_is_never_lost(
    registry: str, tmp_path: Path
) -> None:
    params = {"properties": {"name": {"type": "string"}}}
    both = sides(
        tmp_path,
        {"handler": "ones.read", "path": "/flip/{name}", "params": params},
        {"handler": "others.read", "path": "/flip/it"},
    )

    async def flip(connection: Connection) -> None:
        for number in range(FLIPS // 4):
            await apply(connection, both[(number + 1) % 2], Author("tests"))

    await applied(registry, both[0])
    async with serving(registry, {}, actions=actions()) as client:
        load = Load(client, "/flip/it")
        await elsewhere(registry, flip)
        await load.end()
    for code, revision, body in load.answers:
        assert code == 200, body
        one = revision % 2 == 1
        found = ["ones" if one else "others", "T", "ones.read" if one else "others.read"]
        assert body["data"] == [*found, {"name": "it"} if one else {}]
    assert len({revision for _, revision, _ in load.answers}) > 5
