"""The course of a run: build the cluster, let one fault after the other happen, and judge."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from chaos import rows

from failover.faults import FAULTS
from failover.load import RATE, Load
from failover.results import Frame, Result, header, judge
from failover.world import World

WARM_UP = 3.0
COOL_DOWN = 3.0
CAPACITY_SECONDS = 8.0


async def run(names: Iterable[str], folder: Path, *, is_synchronous: bool, slack: float) -> bool:
    """Build a cluster and let the faults happen; return whether everything held.

    `slack` multiplies the limits of seconds.
    """
    started = time.monotonic()
    world = World(folder, is_synchronous=is_synchronous)
    held = True
    async with world.running():
        print(f"cluster built in {time.monotonic() - started:.0f} s\n\n{header()}", flush=True)
        for name in names:
            result = await _try(world, name, slack)
            print("\n".join([result.row(), *result.remarks()]), flush=True)
            held = held and not result.broken
        return await _check_mail(world) and held


async def _try(world: World, name: str, slack: float) -> Result:
    """Let a fault happen under load, and judge its calls."""
    fault = FAULTS[name]
    kind = "synchronous" if world.is_synchronous else "asynchronous"
    rate = fault.share * await measure_capacity(world) if fault.share else RATE
    restarts = world.restarts()
    world.notes, world.problems = [], []
    world.load = load = Load(f"{name} {kind}", world.tokens, rate)
    load.start()
    await asyncio.sleep(WARM_UP)
    await fault.happen(world)
    await asyncio.sleep(COOL_DOWN)
    await load.stop()
    if fault.repeats_keys:
        await load.repeat_keys()
    end = await world.nodes.run(rows.read)
    ended = world.restarts() - restarts
    frame = Frame(world.is_synchronous, ended, slack, world.notes, world.problems)
    return judge(fault, load.record, end, frame)


async def measure_capacity(world: World) -> float:
    """The calls a second that are answered when 32 callers never pause."""
    load = Load("capacity", world.tokens)
    return await load.saturate(CAPACITY_SECONDS)


async def _check_mail(world: World) -> bool:
    """Wait until all mail is sent, and say whether each has arrived."""
    await rows.wait_until_sent(world.nodes, hurry=False)
    mails = (await world.nodes.run(rows.read)).mails
    missing = [number for number in mails if not world.arrivals[number]]
    again = sum(world.arrivals[number] - 1 for number in mails if world.arrivals[number])
    print(f"\nmails: {len(mails)} committed, {len(missing)} not sent, {again} sent again")
    return not missing
