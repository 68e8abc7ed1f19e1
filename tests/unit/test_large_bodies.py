"""Large bodies take turns, and a stranger whose large body was refused has a pause."""

import asyncio
import itertools
from typing import Any

import pytest
from support.builders import request, route, session

from gateway import statuses
from gateway.edge import large_bodies
from gateway.edge.admission import Admission
from gateway.edge.exchange import AsgiExchange
from gateway.edge.large_bodies import LARGE_BODY, LargeBodyTurns
from gateway.values import ANONYMOUS, Caller, Rejection

MIB = 1024 * 1024


async def test_other_requests_come_between_two_large_bodies() -> None:
    turns, happened = LargeBodyTurns(), list[str]()

    async def large() -> None:
        await turns.wait("192.0.2.1", MIB)
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
    waiting = asyncio.ensure_future(turns.wait("192.0.2.1", MIB))
    # One turn of the loop runs it to its end.
    await asyncio.sleep(0)
    assert waiting.done()


@pytest.fixture
def admission() -> Admission:
    return Admission(max_in_flight=1, max_bodies=1, max_body_bytes=2 * MIB)


async def read(
    admission: Admission, *, size: int = MIB, address: str = "192.0.2.1", announced: bool = False
) -> None:
    """Have admission read a body of `size` bytes; one that is announced must not be read."""

    async def receive() -> dict[str, Any]:
        assert not announced, "the body was read"
        return {"type": "http.request", "body": b"x" * size}

    async def send(_: Any) -> None:
        raise AssertionError("this test answers nothing")

    headers = [(b"content-length", b"%d" % size)] if announced else []
    scope = {"method": "POST", "raw_path": b"/", "query_string": b"", "headers": headers}
    exchange = AsgiExchange(scope, receive, send)
    await admission.read(request()._replace(address=address), exchange, route())


def refuse(admission: Admission, caller: Caller | None = None, /, **headers: str) -> None:
    """Tell admission that a request was refused; it is large by default."""
    headers = headers or {"content_length": str(MIB)}
    admission.note_refusal(request(**headers)._replace(address="192.0.2.1"), caller)


async def is_paused(admission: Admission, **options: Any) -> bool:
    try:
        await read(admission, **options)
    except Rejection as rejection:
        assert (rejection.slug, rejection.retry_after) == (statuses.RATE_LIMIT_EXCEEDED, 1)
        return True
    return False


@pytest.mark.parametrize(("size", "waits"), [(LARGE_BODY, False), (LARGE_BODY + 1, True)])
async def test_admission_has_large_bodies_take_turns(
    admission: Admission, size: int, *, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    async def wait(_: LargeBodyTurns, network: str, size: int) -> None:
        assert network == "192.0.2.1"
        sizes.append(size)

    monkeypatch.setattr(LargeBodyTurns, "wait", wait)
    await read(admission, size=size)
    assert sizes == ([size] if waits else [])


async def test_client_whose_large_body_was_refused_pauses(admission: Admission) -> None:
    assert not await is_paused(admission)
    refuse(admission)
    assert await is_paused(admission)
    assert await is_paused(admission, announced=True)
    assert not await is_paused(admission, address="192.0.2.2")
    assert not await is_paused(admission, size=LARGE_BODY)


async def test_pause_ends_after_its_time_however_often_the_client_tries(
    admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_bodies, "REFUSED_PAUSE", 0.2)
    refuse(admission)
    for _ in range(1000):
        if not await is_paused(admission):
            break
        refuse(admission)
        await asyncio.sleep(0.01)
    else:
        pytest.fail("the pause does not end")


@pytest.mark.parametrize(
    ("headers", "pauses"),
    [
        ({"content_length": str(LARGE_BODY)}, False),
        ({"content_length": str(LARGE_BODY + 1)}, True),
        ({"transfer_encoding": "chunked"}, True),
    ],
)
async def test_pause_is_for_large_bodies_and_those_of_unknown_length(
    admission: Admission, headers: dict[str, str], *, pauses: bool
) -> None:
    refuse(admission, **headers)
    assert await is_paused(admission) == pauses


async def test_known_caller_whose_large_body_is_refused_does_not_pause(
    admission: Admission,
) -> None:
    refuse(admission, ANONYMOUS._replace(session=session()))
    assert not await is_paused(admission)
    refuse(admission, ANONYMOUS)
    assert await is_paused(admission)


async def test_pauses_of_very_many_clients_are_forgotten(
    admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_bodies, "MAX_NETWORKS", 1)
    refuse(admission)
    other = request(content_length=str(MIB))._replace(address="192.0.2.2")
    admission.note_refusal(other, None)
    assert await is_paused(admission, address="192.0.2.2")
    assert not await is_paused(admission)
