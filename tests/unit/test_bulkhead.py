"""Shares: nobody has more than his, nobody is passed over, and no place is ever lost."""

import asyncio
import random

import pytest

from gateway.database.bulkhead import Bulkhead


async def _turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_one_owner_waits_for_its_own_and_others_do_not() -> None:
    shares = Bulkhead(2)
    for _ in range(2):
        await shares.acquire("slow")
    third = asyncio.create_task(shares.acquire("slow"))
    await _turns()
    assert not third.done()
    await shares.acquire("other")
    shares.release("other")
    await _turns()
    assert not third.done()
    shares.release("slow")
    await _turns()
    assert third.done()


async def test_who_waits_goes_in_the_order_of_asking() -> None:
    shares, went = Bulkhead(1), []
    await shares.acquire("a")

    async def go(number: int) -> None:
        await shares.acquire("a")
        went.append(number)
        shares.release("a")

    tasks = [asyncio.create_task(go(number)) for number in range(5)]
    await _turns()
    shares.release("a")
    await asyncio.gather(*tasks)
    assert went == [0, 1, 2, 3, 4]
    assert not shares._held
    assert not shares._waiters


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_place_is_not_lost_with_one_who_leaves(*, handed_over: bool) -> None:
    shares = Bulkhead(1)
    await shares.acquire("a")
    leaver = asyncio.create_task(shares.acquire("a"))
    await _turns()
    if handed_over:
        shares.release("a")
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    if not handed_over:
        shares.release("a")
    async with asyncio.timeout(1):
        await shares.acquire("a")


async def test_whatever_comes_and_goes_all_places_are_free_in_the_end() -> None:
    chance, shares, most = random.Random(1), Bulkhead(3), 0
    holding = dict.fromkeys("ab", 0)

    async def use(owner: str) -> None:
        nonlocal most
        await shares.acquire(owner)
        holding[owner] += 1
        most = max(most, holding[owner])
        try:
            await asyncio.sleep(chance.random() / 500)
        finally:
            holding[owner] -= 1
            shares.release(owner)

    tasks = [asyncio.create_task(use(chance.choice("ab"))) for _ in range(300)]
    for task in chance.sample(tasks, 100):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 3
    assert not shares._held
    assert not shares._waiters


async def test_who_waits_in_vain_hears_of_it_and_holds_nothing() -> None:
    shares = Bulkhead(1)
    await shares.acquire("a")
    waiting = [asyncio.create_task(shares.acquire("a")) for _ in range(3)]
    await _turns()
    shares.fail_waiters(ConnectionError("gone"))
    for task in waiting:
        with pytest.raises(ConnectionError):
            await task
    shares.release("a")
    assert not shares._held
    await shares.acquire("a")
