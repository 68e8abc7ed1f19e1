"""What a worker does for good: it outlives faults, and ends when it is told to."""

import asyncio

import pytest

from gateway.serve import worker


async def test_work_that_fails_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RESTART_DELAY", 0)
    times = 0

    async def work() -> None:
        nonlocal times
        times += 1
        if times < 3:
            raise ValueError

    await worker._keep_running(work)
    assert times == 3


async def test_work_whose_last_act_fails_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RESTART_DELAY", 0)
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    task = asyncio.create_task(worker._keep_running(work))
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(task, return_exceptions=True)
