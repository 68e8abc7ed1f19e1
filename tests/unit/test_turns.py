"""Turns of a key: how long work waits for one."""

import asyncio
from collections.abc import Awaitable

import pytest

from gateway.identity import turns
from gateway.identity.turns import Turns
from gateway.values import Rejection


def wait(turns: Turns, deadline: float) -> Awaitable[None]:
    async def work() -> None:
        async with turns.turn("address", deadline):
            pass

    return work()


async def test_turns_waiting_ends_at_the_deadline_of_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "TIMEOUT", 1e6)
    one, loop = Turns(1), asyncio.get_running_loop()
    async with one.turn("address"):
        with pytest.raises(Rejection) as refused:
            async with asyncio.timeout(30):
                await wait(one, loop.time() + 0.01)
    assert refused.value.slug == "service-unavailable"
    await wait(one, loop.time() + 30)


async def test_turns_that_are_free_are_taken_after_the_deadline() -> None:
    """A slow body may use up the deadline; the look-up still has a minimum time of its own."""
    await wait(Turns(1), asyncio.get_running_loop().time() - 1)
