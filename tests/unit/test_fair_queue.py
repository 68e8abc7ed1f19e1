"""The queue for a thread: clients take turns, and no client can fill it for the others."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.identity.fair_queue import FairQueue, QueueFull


class Line:
    """A queue with one slot, which is taken, and the order in which waiters get it."""

    def __init__(self, max_waiting: int) -> None:
        self.queue = FairQueue(free=1, max_waiting=max_waiting)
        self.served: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def wait(self, *clients: str) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._enter(client)) for client in clients]
        self.tasks += tasks
        await asyncio.sleep(0)
        return tasks

    async def _enter(self, client: str) -> None:
        await self.queue.enter(client)
        self.served.append(client)

    async def serve(self, times: int) -> list[str]:
        """Who gets the slot when it is given back so many times."""
        before = len(self.served)
        for _ in range(times):
            self.queue.leave()
            await asyncio.sleep(0)
        return self.served[before:]


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line(6)
    await line.queue.enter("first")
    yield line
    for task in line.tasks:
        task.cancel()
    await asyncio.gather(*line.tasks, return_exceptions=True)


async def test_fair_queue_clients_take_turns(line: Line) -> None:
    await line.wait("a", "a", "a", "b", "c", "b")
    assert await line.serve(6) == ["a", "b", "c", "a", "b", "a"]
    line.queue.leave()
    await line.queue.enter("d")


async def test_fair_queue_client_with_the_most_gives_up_its_latest(line: Line) -> None:
    tasks = await line.wait(*"aaaaaa")
    await line.wait("b")
    await asyncio.sleep(0)
    assert isinstance(tasks[-1].exception(), QueueFull)
    assert await line.serve(3) == ["a", "b", "a"]


async def test_fair_queue_client_with_a_fair_share_is_refused(line: Line) -> None:
    await line.wait(*"aaabbb")
    for client in "ab":
        [task] = await line.wait(client)
        assert isinstance(task.exception(), QueueFull)
    assert await line.serve(6) == list("ababab")


async def test_fair_queue_waiter_that_leaves_is_passed_over(line: Line) -> None:
    first, second, _ = await line.wait("a", "b", "a")
    first.cancel()
    await asyncio.sleep(0)
    second.cancel()  # while the slot is given back
    assert await line.serve(1) == ["a"]
    assert await line.serve(1) == []
    await line.queue.enter("d")


async def test_fair_queue_slot_of_a_waiter_that_leaves_as_it_gets_it_goes_on(line: Line) -> None:
    [task] = await line.wait("a")
    await line.wait("b")
    line.queue.leave()
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert line.served == ["b"]
