"""Bulkhead: no owner exceeds its limit, waiters are served in order, and no place is lost."""

import asyncio
import random

import pytest

from gateway.database.bulkhead import Bulkhead


async def _turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_bulkhead_owner_at_its_limit_waits_and_others_do_not() -> None:
    bulkhead = Bulkhead(2)
    for _ in range(2):
        await bulkhead.acquire("slow")
    third = asyncio.create_task(bulkhead.acquire("slow"))
    await _turns()
    assert not third.done()
    await bulkhead.acquire("other")
    bulkhead.release("other")
    await _turns()
    assert not third.done()
    bulkhead.release("slow")
    await _turns()
    assert third.done()


async def test_bulkhead_waiters_are_served_in_order() -> None:
    bulkhead, served = Bulkhead(1), []
    await bulkhead.acquire("a")

    async def use(number: int) -> None:
        await bulkhead.acquire("a")
        served.append(number)
        bulkhead.release("a")

    tasks = [asyncio.create_task(use(number)) for number in range(5)]
    await _turns()
    bulkhead.release("a")
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2, 3, 4]
    assert not bulkhead._held
    assert not bulkhead._waiters


@pytest.mark.parametrize("handed_over", [False, True])
async def test_bulkhead_place_is_not_lost_with_a_cancelled_waiter(*, handed_over: bool) -> None:
    bulkhead = Bulkhead(1)
    await bulkhead.acquire("a")
    waiter = asyncio.create_task(bulkhead.acquire("a"))
    await _turns()
    if handed_over:
        bulkhead.release("a")
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    if not handed_over:
        bulkhead.release("a")
    async with asyncio.timeout(1):
        await bulkhead.acquire("a")


async def test_bulkhead_places_are_all_free_after_random_use_and_cancellation() -> None:
    rng, bulkhead, max_held = random.Random(1), Bulkhead(3), 0
    held = dict.fromkeys("ab", 0)

    async def use(owner: str) -> None:
        nonlocal max_held
        await bulkhead.acquire(owner)
        held[owner] += 1
        max_held = max(max_held, held[owner])
        try:
            await asyncio.sleep(rng.random() / 500)
        finally:
            held[owner] -= 1
            bulkhead.release(owner)

    tasks = [asyncio.create_task(use(rng.choice("ab"))) for _ in range(300)]
    for task in rng.sample(tasks, 100):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert max_held == 3
    assert not bulkhead._held
    assert not bulkhead._waiters


async def test_bulkhead_waiters_that_fail_hold_no_place() -> None:
    bulkhead = Bulkhead(1)
    await bulkhead.acquire("a")
    waiting = [asyncio.create_task(bulkhead.acquire("a")) for _ in range(3)]
    await _turns()
    bulkhead.fail_waiters(ConnectionError("gone"))
    for task in waiting:
        with pytest.raises(ConnectionError):
            await task
    bulkhead.release("a")
    assert not bulkhead._held
    await bulkhead.acquire("a")
