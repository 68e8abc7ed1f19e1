"""Maintenance: one worker of all does the periodic jobs, and another takes over."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.harness import execute, logged, until

from gateway.database.errors import DatabaseError
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.runtime import events
from gateway.serve import maintenance
from gateway.serve.maintenance import Job, Maintenance

HOLDERS = "select holder from gateway.leases"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "TICK", 0.02)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 2)
    yield pool
    await pool.close()


class Worker:
    """A maintenance loop that counts how often its one job ran."""

    def __init__(self, pool: Pool) -> None:
        self.runs = 0
        self.maintenance = Maintenance(pool, [Job(self._count, interval=0.0)])
        self._task = asyncio.create_task(self.maintenance.run())

    async def _count(self, _: Database) -> None:
        self.runs += 1

    async def stop(self) -> None:
        """Cancel it as a worker that stops in order does."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_maintenance_of_several_workers_runs_in_one(database: str, pool: Pool) -> None:
    workers = [Worker(pool) for _ in range(3)]
    await until(lambda: sum(worker.runs for worker in workers) >= 10)
    assert sorted(worker.runs > 0 for worker in workers) == [False, False, True]
    assert len(await execute(database, HOLDERS)) == 1
    for worker in workers:
        await worker.stop()


async def test_maintenance_lease_is_released_when_its_worker_stops(
    database: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another worker waits until the lease that it found would have ended.
    monkeypatch.setattr(maintenance, "LEASE", 1.0)
    first = Worker(pool)
    await until(lambda: first.runs)
    second = Worker(pool)
    await first.stop()
    await until(lambda: second.runs)
    await second.stop()
    assert await execute(database, HOLDERS) == []


async def test_maintenance_lease_of_a_dead_worker_is_taken_once_it_has_expired(
    database: str, pool: Pool
) -> None:
    await execute(
        database,
        "insert into gateway.leases values ($1, gen_random_uuid(), now() + interval '1 s')",
        maintenance.LEASE_NAME,
    )
    worker = Worker(pool)
    await asyncio.sleep(0.3)
    assert worker.runs == 0
    await until(lambda: worker.runs)
    await worker.stop()


async def test_maintenance_job_waits_for_its_interval(pool: Pool) -> None:
    worker = Worker(pool)
    worker.maintenance._jobs[0].interval = 3600.0
    await until(lambda: worker.runs)
    await asyncio.sleep(0.1)
    assert worker.runs == 1
    await worker.stop()


async def test_maintenance_job_that_fails_does_not_stop_the_later_ones(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Database) -> None:
        raise DatabaseError("the test says so")

    worker = Worker(pool)
    worker.maintenance._jobs = [Job(fail, interval=0.0), *worker.maintenance._jobs]
    await until(lambda: worker.runs)
    await worker.stop()
    assert logged(caplog, events.MAINTENANCE_FAILED)


async def test_maintenance_that_fails_is_logged_and_tried_again(
    database: str, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    await execute(database, "alter table gateway.leases rename to moved")
    worker = Worker(pool)
    await until(lambda: logged(caplog, events.MAINTENANCE_FAILED))
    assert worker.runs == 0
    await execute(database, "alter table gateway.moved rename to leases")
    await until(lambda: worker.runs)
    await worker.stop()


async def test_maintenance_during_an_outage_logs_nothing_and_continues_after_it(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    pool.mark_down("the test says so")
    worker = Worker(pool)
    await asyncio.sleep(0.2)
    pool.mark_up()
    await until(lambda: worker.runs)
    await worker.stop()
    assert logged(caplog, events.MAINTENANCE_FAILED) == []


async def test_maintenance_job_with_more_to_do_goes_on_after_a_pause(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "TICK", 3600.0)
    monkeypatch.setattr(maintenance, "PAUSE", 0.01)
    left = 3

    async def sweep(_: Database) -> bool:
        nonlocal left
        left -= 1
        return left > 0

    worker = Worker(pool)
    worker.maintenance._jobs = [Job(sweep, interval=3600.0), *worker.maintenance._jobs]
    await until(lambda: left == 0)
    # The other jobs have their turn between two slices.
    assert worker.runs >= 2
    await worker.stop()


async def test_maintenance_job_with_more_to_do_stops_without_the_lease(
    database: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "PAUSE", 0.01)
    slices = 0

    async def sweep(_: Database) -> bool:
        nonlocal slices
        slices += 1
        await execute(
            database,
            "update gateway.leases set holder = gen_random_uuid(), "
            "expires_at = now() + interval '1 hour'",
        )
        return True

    worker = Worker(pool)
    worker.maintenance._jobs = [Job(sweep, interval=0.0)]
    await until(lambda: slices)
    await asyncio.sleep(0.2)
    assert slices == 1
    await worker.stop()
