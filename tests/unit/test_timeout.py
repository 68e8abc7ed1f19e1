"""A time limit ends what waits, and nothing else: beside asyncio's own, whose rules it has."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.runtime.timeout import Timeout

Limit = Callable[[float], Any]


class _Asyncio:
    """asyncio's own in the form of ours."""

    def __init__(self, at: float) -> None:
        self._timeout = asyncio.timeout_at(at)

    @property
    def expired(self) -> bool:
        return self._timeout.expired()

    def lift(self) -> None:
        self._timeout.reschedule(None)

    async def run(self, work: Awaitable[Any]) -> Any:
        async with self._timeout:
            return await work


class _Ours(Timeout):
    async def run(self, work: Awaitable[Any]) -> Any:
        with self:
            return await work


both = pytest.mark.parametrize("limit", [_Ours, _Asyncio])


def now() -> float:
    return asyncio.get_running_loop().time()


@both
async def test_what_is_done_in_time_is_left_alone(limit: Limit) -> None:
    made = limit(now() + 10)
    assert await made.run(asyncio.sleep(0, "done")) == "done"
    assert not made.expired


@both
@pytest.mark.parametrize("after", [-1, 0, 0.01])
async def test_what_waits_longer_is_ended(limit: Limit, after: float) -> None:
    made = limit(now() + after)
    with pytest.raises(TimeoutError):
        await made.run(asyncio.Event().wait())
    assert made.expired
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0


@both
async def test_once_it_is_lifted_it_ends_nothing(limit: Limit) -> None:
    made = limit(now() + 0.01)

    async def work() -> str:
        made.lift()
        return await asyncio.sleep(0.03, "done")

    assert await made.run(work()) == "done"


@both
async def test_a_fault_of_the_work_passes(limit: Limit) -> None:
    async def fail() -> None:
        raise TimeoutError("the work's own")

    made = limit(now() + 10)
    with pytest.raises(TimeoutError, match="own"):
        await made.run(fail())
    assert not made.expired


@both
async def test_who_is_cancelled_is_not_late(limit: Limit) -> None:
    task = asyncio.create_task(limit(now() + 10).run(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@both
async def test_who_is_cancelled_and_late_is_cancelled(limit: Limit) -> None:
    made = limit(now() + 0.01)
    task = asyncio.create_task(made.run(_stubborn()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made.expired


async def _stubborn() -> None:
    """Goes on after the first time that it is cancelled."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


@both
async def test_what_is_ended_may_finish_all_the_same(limit: Limit) -> None:
    made = limit(now() + 0.01)

    async def finish() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "tidied up"
        return "never"

    assert await made.run(finish()) == "tidied up"
    assert made.expired
    assert await asyncio.sleep(0.02, "and it goes on") == "and it goes on"


@both
async def test_what_is_done_in_the_turn_in_which_its_time_is_up_leaves_nothing_behind(
    limit: Limit,
) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    at = now() + 0.01
    loop.call_at(at, done.set_result, "done")
    with contextlib.suppress(TimeoutError):
        assert await limit(at).run(done) == "done"
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0
    await asyncio.sleep(0.02)


@both
async def test_the_inner_of_two_is_the_one_that_ends(limit: Limit) -> None:
    outer, inner = limit(now() + 10), limit(now() + 0.01)

    async def work() -> str:
        try:
            await inner.run(asyncio.Event().wait())
        except TimeoutError:
            return "late"
        return "in time"

    assert await outer.run(work()) == "late"
    assert (outer.expired, inner.expired) == (False, True)


@both
async def test_the_outer_of_two_ends_the_inner(limit: Limit) -> None:
    outer, inner = limit(now() + 0.01), limit(now() + 10)
    with pytest.raises(TimeoutError):
        await outer.run(inner.run(asyncio.Event().wait()))
    assert (outer.expired, inner.expired) == (True, False)


def test_it_needs_a_task() -> None:
    loop = asyncio.new_event_loop()
    found: list[BaseException] = []

    def enter() -> None:
        try:
            Timeout(0).__enter__()
        except RuntimeError as error:
            found.append(error)
        loop.stop()

    loop.call_soon(enter)
    loop.run_forever()
    loop.close()
    assert len(found) == 1
