"""The faults by their names in the plan, and the lanes that let them happen."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import NamedTuple

from chaos import plan
from chaos.fleet import Fleet
from chaos.mandrill import Mandrill
from chaos.plan import Step
from chaos.postgres import Postgres
from chaos.record import Happened, Record


class World(NamedTuple):
    """The processes that faults happen to, and the record of the run."""

    fleet: Fleet
    postgres: Postgres
    mandrill: Mandrill
    record: Record


Fault = Callable[[Step], Awaitable[None]]


def faults_of(world: World) -> Mapping[str, Fault]:
    """Each fault of the plan as a function that ends when the fault is repaired."""
    fleet, postgres, mandrill, _ = world
    return {
        plan.WORKER: fleet.kill_worker,
        plan.WORKER_FROZEN: fleet.freeze_worker,
        plan.SUPERVISOR: fleet.kill_supervisor,
        plan.DEPLOY_TERM: lambda _: fleet.deploy(signal.SIGTERM),
        plan.DEPLOY_HUP: lambda _: fleet.deploy(signal.SIGHUP),
        plan.LOG: fleet.leave_log,
        plan.POSTGRES: postgres.kill,
        plan.FROZEN: postgres.freeze,
        plan.TERMINATED: postgres.terminate_backend,
        plan.BACKEND: postgres.kill_backend,
        plan.LOCK: postgres.lock,
        plan.TIMEOUT: postgres.lock_with_statement_timeout,
        plan.MAIL_STOPPED: mandrill.stop_for,
        plan.MAIL_FAILING: mandrill.fail_for,
        plan.MAIL_SILENT: mandrill.stay_silent_for,
    }


async def run_lane(world: World, steps: Iterator[Step], seconds: float) -> None:
    """Let the faults of one lane happen, one after the other, for at most `seconds`."""
    deadline, faults = time.monotonic() + seconds, faults_of(world)
    for step in steps:
        if time.monotonic() + step.pause > deadline:
            return
        await asyncio.sleep(step.pause)
        began = time.monotonic()
        await faults[step.fault](step)
        world.record.faults.append(Happened(step.fault, began, time.monotonic()))
