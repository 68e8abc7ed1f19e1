"""A route that flips between two services under load: every request sees exactly one of them."""

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
    """The two states of a namespace; both have both services."""
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
    """Status, revision and body of an answer, called in process to send many requests."""
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
    """Callers that send requests until `end`, and record each answer with its revision."""

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


async def in_thread(url: str, work: Callable[[Connection], Awaitable[None]]) -> None:
    """Run some work in a thread with its own event loop, so that the load does not slow it down."""
    await asyncio.to_thread(lambda: asyncio.run(on(url, work)))


@pytest.mark.parametrize("max_overlay", [overlay_map.MAX_OVERLAY, 3], ids=["overlaid", "merged"])
async def test_flips_every_answer_comes_from_exactly_one_revision(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_overlay: int
) -> None:
    monkeypatch.setattr(overlay_map, "MAX_OVERLAY", max_overlay)
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
            outcome = await apply(connection, both[(number + 1) % 2], Author("tests"))
            assert outcome.revision == number

    await applied(registry, both[0])
    async with serving(registry, {}, actions=actions()) as client:
        load = Load(client, "/flip")
        await in_thread(registry, flip)
        last = await client.request("GET", "/flip", headers={"x-min-registry-revision": str(FLIPS)})
        await load.end()
    assert int(last.headers["x-registry-revision"]) == FLIPS
    for code, revision, body in load.answers:
        assert (code, body["status"]) == (200, "action-successful"), body
        assert body["data"] == expected[revision % 2]
    revisions = [revision for _, revision, _ in load.answers]
    assert revisions == sorted(revisions)
    assert len(set(revisions)) > FLIPS / 10


async def test_flips_between_two_path_shapes_always_find_the_route(
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
        await in_thread(registry, flip)
        await load.end()
    for code, revision, body in load.answers:
        assert code == 200, body
        one = revision % 2 == 1
        expected = ["ones" if one else "others", "T", "ones.read" if one else "others.read"]
        assert body["data"] == [*expected, {"name": "it"} if one else {}]
    assert len({revision for _, revision, _ in load.answers}) > 5
