"""Large bodies take turns, so that other requests come between them."""

import asyncio
import itertools
from typing import Any

import pytest
from support.builders import request, route

from gateway.edge.admission import Admission
from gateway.edge.exchange import AsgiExchange
from gateway.edge.large_bodies import LARGE_BODY, LargeBodyTurns

MIB = 1024 * 1024


async def test_other_requests_come_between_two_large_bodies() -> None:
    turns, happened = LargeBodyTurns(), list[str]()

    async def large() -> None:
        await turns.wait(MIB)
        happened.append("large")

    async def small() -> None:
        while happened.count("large") < 5:
            await asyncio.sleep(0)
            happened.append("small")

    await asyncio.gather(*(large() for _ in range(5)), small())
    places = [index for index, name in enumerate(happened) if name == "large"]
    assert all(later - earlier > 10 for earlier, later in itertools.pairwise(places))


async def test_large_body_that_comes_alone_does_not_wait() -> None:
    turns = LargeBodyTurns()
    waiting = asyncio.ensure_future(turns.wait(MIB))
    # One turn of the loop runs it to its end.
    await asyncio.sleep(0)
    assert waiting.done()


@pytest.mark.parametrize(("size", "waits"), [(LARGE_BODY, False), (LARGE_BODY + 1, True)])
async def test_admission_has_large_bodies_take_turns(
    size: int, *, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    async def wait(_: LargeBodyTurns, size: int) -> None:
        sizes.append(size)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * size}

    async def send(_: Any) -> None:
        raise AssertionError("this test answers nothing")

    monkeypatch.setattr(LargeBodyTurns, "wait", wait)
    admission = Admission(max_in_flight=1, max_bodies=1, max_body_bytes=MIB)
    scope = {"method": "POST", "raw_path": b"/", "query_string": b"", "headers": []}
    exchange = AsgiExchange(scope, receive, send)
    assert len(await admission.read(request(), exchange, route())) == size
    assert sizes == ([size] if waits else [])
