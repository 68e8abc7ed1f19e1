"""The background loops of a worker: started again after an error, ended when cancelled."""

import asyncio

import pytest

from gateway.serve import worker


async def test_worker_loop_that_fails_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RESTART_DELAY", 0)
    runs = 0

    async def loop() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise ValueError

    await worker._keep_running(loop)
    assert runs == 3


async def test_worker_loop_that_fails_while_it_is_cancelled_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "RESTART_DELAY", 0)
    started = asyncio.Event()

    async def loop() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    task = asyncio.create_task(worker._keep_running(loop))
    await started.wait()
    task.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(task, return_exceptions=True)
