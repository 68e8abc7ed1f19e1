"""Time-out: it ends only the block that waits, by the same rules as asyncio's own time-out."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.runtime.timeout import Timeout

Create = Callable[[float], Any]


class _Asyncio:
    """The time-out of asyncio with the interface of ours."""

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


both = pytest.mark.parametrize("create", [_Ours, _Asyncio])


def now() -> float:
    return asyncio.get_running_loop().time()


@both
async def test_timeout_leaves_work_that_ends_in_time_alone(create: Create) -> None:
    timeout = create(now() + 10)
    assert await timeout.run(asyncio.sleep(0, "done")) == "done"
    assert not timeout.expired


@both
@pytest.mark.parametrize("after", [-1, 0, 0.01])
async def test_timeout_ends_work_that_waits_longer(create: Create, after: float) -> None:
    timeout = create(now() + after)
    with pytest.raises(TimeoutError):
        await timeout.run(asyncio.Event().wait())
    assert timeout.expired
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0


@both
async def test_timeout_that_was_lifted_ends_nothing(create: Create) -> None:
    timeout = create(now() + 0.01)

    async def work() -> str:
        timeout.lift()
        return await asyncio.sleep(0.03, "done")

    assert await timeout.run(work()) == "done"


@both
async def test_timeout_passes_an_error_of_the_work_on(create: Create) -> None:
    async def fail() -> None:
        raise TimeoutError("the work's own")

    timeout = create(now() + 10)
    with pytest.raises(TimeoutError, match="own"):
        await timeout.run(fail())
    assert not timeout.expired


@both
async def test_timeout_does_not_expire_by_a_cancellation(create: Create) -> None:
    task = asyncio.create_task(create(now() + 10).run(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@both
async def test_timeout_of_cancelled_work_leaves_it_cancelled(create: Create) -> None:
    timeout = create(now() + 0.01)
    task = asyncio.create_task(timeout.run(_stubborn()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert timeout.expired


async def _stubborn() -> None:
    """Continue after the first cancellation."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


@both
async def test_timeout_lets_ended_work_finish(create: Create) -> None:
    timeout = create(now() + 0.01)

    async def finish() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "tidied up"
        return "never"

    assert await timeout.run(finish()) == "tidied up"
    assert timeout.expired
    assert await asyncio.sleep(0.02, "continued") == "continued"


@both
async def test_timeout_that_expires_in_the_turn_in_which_work_ends_leaves_no_cancellation(
    create: Create,
) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    at = now() + 0.01
    loop.call_at(at, done.set_result, "done")
    with contextlib.suppress(TimeoutError):
        assert await create(at).run(done) == "done"
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0
    await asyncio.sleep(0.02)


@both
async def test_timeout_inside_another_ends_only_its_own_block(create: Create) -> None:
    outer, inner = create(now() + 10), create(now() + 0.01)

    async def work() -> str:
        try:
            await inner.run(asyncio.Event().wait())
        except TimeoutError:
            return "late"
        return "in time"

    assert await outer.run(work()) == "late"
    assert (outer.expired, inner.expired) == (False, True)


@both
async def test_timeout_around_another_ends_the_inner_block(create: Create) -> None:
    outer, inner = create(now() + 0.01), create(now() + 10)
    with pytest.raises(TimeoutError):
        await outer.run(inner.run(asyncio.Event().wait()))
    assert (outer.expired, inner.expired) == (True, False)


def test_timeout_outside_of_a_task_is_refused() -> None:
    loop = asyncio.new_event_loop()
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            Timeout(0).__enter__()
        except RuntimeError as error:
            errors.append(error)
        loop.stop()

    loop.call_soon(enter)
    loop.run_forever()
    loop.close()
    assert len(errors) == 1
