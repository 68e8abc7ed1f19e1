"""The course of a run: start everything, let faults happen under load, wait, read and judge."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.machine import reports_memory
from propagation import wait_until_started

from chaos import plan, rows
from chaos.applies import apply_now_and_then
from chaos.faults import World, run_lane
from chaos.fleet import WORKERS, Fleet, Log
from chaos.judge import Case, Documented, judge
from chaos.load import Load
from chaos.mandrill import Mandrill
from chaos.operations import Operations
from chaos.postgres import SQL, Postgres
from chaos.record import Record
from chaos.report import Process, report
from gateway import statuses
from gateway.database.connect import Connection
from gateway.database.migrate import find_all, migrate
from gateway.dev import demo
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.registry.records import route_from
from gateway.registry.schema import interned

ROOT = Path(__file__).parents[2]
FINISH_TIMEOUT = 90.0
"""Seconds within which each caller runs its script, and each call has its final answer."""

PROGRESS_INTERVAL = 60.0
NO_LIMITS = {
    "GATEWAY_UNKNOWN_CALLERS": "1000000",
    "GATEWAY_MAX_SESSIONS_PER_USER": "1000000",
}
"""All callers have one address, and lost log-ins leave sessions: no limit may hide a fault."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line; `faults` limits the faults of each lane, if it is not 0."""

    seconds: float
    faults: int
    seed: int
    callers: int
    pace: float
    hurry: bool
    control: bool


async def run(options: Options, folder: Path) -> bool:
    """Run, and print the report; return whether nothing was wrong. Raises GatewayError."""
    # A run that is terminated must not leave its processes behind.
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    record = Record()
    mandrill = Mandrill(record.arrivals)
    postgres = Postgres(folder / "pg", commits="off" if options.control else "on")
    await mandrill.start()
    await asyncio.to_thread(postgres.start)
    try:
        tokens = await postgres.run(_prepare)
        log = Log(folder / "gateway.log")
        fleet = Fleet(_settings(folder, postgres, mandrill), log, record)
        world = World(fleet=fleet, postgres=postgres, mandrill=mandrill, record=record)
        try:
            return await _run(options, world, Operations(f"run {options.seed},", tokens))
        finally:
            await fleet.kill()
    finally:
        await asyncio.to_thread(postgres.stop)
        await mandrill.stop()


async def _run(options: Options, world: World, operations: Operations) -> bool:
    fleet = world.fleet
    await fleet.start()
    await world.postgres.run(partial(wait_until_started, workers=WORKERS))
    workers = {"at the start": await _measure(fleet)}
    load = Load(
        record=world.record, operations=operations, find_port=lambda: fleet.port, seed=options.seed
    )
    load.start(options.callers)
    await load.wait_for_a_round(FINISH_TIMEOUT)
    await _let_faults_happen(options, world)
    await _finish(options, world, load)
    workers["at the end"] = await _measure(fleet)
    await fleet.stop()
    return await _judge(world, workers)


async def _finish(options: Options, world: World, load: Load) -> None:
    """Wait until the gateway is healthy, each call has its answer, and each mail is sent."""
    started = time.monotonic()
    await world.fleet.wait_until_healthy()
    healthy = time.monotonic()
    await load.wait_for_a_round(FINISH_TIMEOUT)
    await load.stop(FINISH_TIMEOUT)
    sent_seconds = await rows.wait_until_sent(world.postgres, hurry=options.hurry)
    await load.repeat_later_ones(FINISH_TIMEOUT)
    await _check_revision(world)
    print(
        f"healthy {healthy - started:.1f} s after the last fault, "
        f"all mail sent {sent_seconds:.1f} s after the last call"
    )


async def _judge(world: World, workers: Mapping[str, list[Process]]) -> bool:
    """Compare the record with the database, and print the report."""
    record, documented = world.record, _documented()
    record.problems += [f"wrong line in the log: {line}" for line in world.fleet.log.wrong_lines]
    end = await world.postgres.run(rows.read)
    findings = judge(record, end, documented)
    print("\n".join(report(Case(record, end, documented), findings, workers)))
    return not findings


async def _let_faults_happen(options: Options, world: World) -> None:
    """Run all lanes at the same time, and apply changes of the registry."""
    async with asyncio.TaskGroup() as group:
        others = [
            group.create_task(apply_now_and_then(world.postgres, world.record)),
            group.create_task(_print_progress(world.record)),
        ]
        lanes = [
            group.create_task(run_lane(world, steps, options.seconds)) for steps in _plans(options)
        ]
        await asyncio.gather(*lanes)
        for task in others:
            task.cancel()


def _plans(options: Options) -> Iterator[Iterator[plan.Step]]:
    """The plan of each lane."""
    for name in plan.LANES:
        steps = plan.steps(options.seed, name, options.pace)
        yield itertools.islice(steps, options.faults or None)


async def _print_progress(record: Record) -> None:
    started = time.monotonic()
    while True:
        await asyncio.sleep(PROGRESS_INTERVAL)
        minutes = (time.monotonic() - started) / 60
        calls = sum(map(len, record.answers.values()))
        print(f"{minutes:3.0f} min: {len(record.faults)} faults, {calls:,} calls", flush=True)


async def _prepare(db: Connection) -> Mapping[str, str]:
    """Fill the database with the tables, the routes and the demo; return the demo's tokens."""
    await migrate(db, find_all())
    for desired in check(ROOT / "routes.yaml"):
        await apply(db, desired, Author("chaos"))
    return await demo.fill(db, {})


def _settings(folder: Path, postgres: Postgres, mandrill: Mandrill) -> dict[str, str]:
    """The environment of the gateway."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")
    }
    return {
        **inherited,
        **NO_LIMITS,
        "GATEWAY_APP": str(ROOT),
        "GATEWAY_DATABASE_URL": postgres.url,
        "GATEWAY_DATA_DIR": str(folder / "data"),
        "GATEWAY_DRAIN_DELAY": "0.5",
        "GATEWAY_MANDRILL_API_KEY": "chaos",
        "GATEWAY_MANDRILL_URL": mandrill.url,
        # Supervisors that are killed leave their folders behind.
        "TMPDIR": str(folder),
    }


def _documented() -> Documented:
    """The statuses of each route, and the catalogue for requests without a route."""
    [desired] = check(ROOT / "routes.yaml")
    routes = {
        name: route_from(name, route.record, interned(route.params)).statuses
        for name, route in desired.routes.items()
    }
    return {**routes, "": statuses.COMMON}


async def _check_revision(world: World) -> None:
    """Note workers that do not serve the newest revision."""
    newest = await world.postgres.run(lambda db: db.fetchval(SQL["newest_revision"]))
    served = {report.get("revision") for report in await world.fleet.current.readiness()}
    if served != {newest}:
        world.record.problems.append(f"workers serve revisions {served}, the newest is {newest}")


async def _measure(fleet: Fleet) -> list[Process]:
    """Memory and descriptors of the workers."""
    return [*_measured(await fleet.current.workers())]


def _measured(pids: list[int]) -> Iterator[Process]:
    for pid in pids:
        if reports_memory():
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
            yield Process(memory, len([*Path(f"/proc/{pid}/fd").iterdir()]))
        else:
            yield Process(None, None)
