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
        await shares.take("slow")
    third = asyncio.create_task(shares.take("slow"))
    await _turns()
    assert not third.done()
    await shares.take("other")
    shares.give("other")
    await _turns()
    assert not third.done()
    shares.give("slow")
    await _turns()
    assert third.done()


async def test_who_waits_goes_in_the_order_of_asking() -> None:
    shares, went = Bulkhead(1), []
    await shares.take("a")

    async def go(number: int) -> None:
        await shares.take("a")
        went.append(number)
        shares.give("a")

    tasks = [asyncio.create_task(go(number)) for number in range(5)]
    await _turns()
    shares.give("a")
    await asyncio.gather(*tasks)
    assert went == [0, 1, 2, 3, 4]
    assert not shares._held
    assert not shares._waiting


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_place_is_not_lost_with_one_who_leaves(*, handed_over: bool) -> None:
    shares = Bulkhead(1)
    await shares.take("a")
    leaver = asyncio.create_task(shares.take("a"))
    await _turns()
    if handed_over:
        shares.give("a")
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    if not handed_over:
        shares.give("a")
    async with asyncio.timeout(1):
        await shares.take("a")


async def test_whatever_comes_and_goes_all_places_are_free_in_the_end() -> None:
    chance, shares, most = random.Random(1), Bulkhead(3), 0
    holding = dict.fromkeys("ab", 0)

    async def use(owner: str) -> None:
        nonlocal most
        await shares.take(owner)
        holding[owner] += 1
        most = max(most, holding[owner])
        try:
            await asyncio.sleep(chance.random() / 500)
        finally:
            holding[owner] -= 1
            shares.give(owner)

    tasks = [asyncio.create_task(use(chance.choice("ab"))) for _ in range(300)]
    for task in chance.sample(tasks, 100):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 3
    assert not shares._held
    assert not shares._waiting


async def test_who_waits_in_vain_hears_of_it_and_holds_nothing() -> None:
    shares = Bulkhead(1)
    await shares.take("a")
    waiting = [asyncio.create_task(shares.take("a")) for _ in range(3)]
    await _turns()
    shares.fail(ConnectionError("gone"))
    for task in waiting:
        with pytest.raises(ConnectionError):
            await task
    shares.give("a")
    assert not shares._held
    await shares.take("a")
