"""Faults with a question of their own: a restore under running gateways, and a revoked token."""

import asyncio
import contextlib
import re
import subprocess
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from changes import ONE
from chaos.connection import Connection as Client
from chaos.connection import LostError, request
from chaos.operations import STATUSES, body_of, row_of, token_of

from failover.configuration import CALLERS_ADDRESS
from failover.gateways import PORT, get
from failover.network import Machine
from failover.world import World
from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.dev.demo import OPERATOR
from gateway.dev.postgres import programs
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.registry import store

FOLLOW_TIMEOUT = 5.0
"""Seconds in which all workers must serve what the restored database has."""

REVOKED_TIMEOUT = 1.0
"""Seconds after the answer to a log-out in which a worker may still accept the token."""

GIVE_UP = 30.0
POLL_INTERVAL = 0.05
PROBES = 8
"""Connections to each gateway, so that each worker gets some."""

PROBE_INTERVAL = 0.01
_REVISION = re.compile(rb"\r\nx-registry-revision: ([0-9]+)")
_SQL = load_queries(Path(__file__).with_name("queries.sql"))


async def restore(world: World) -> None:
    """Restore an older backup under running gateways: they must follow, and say so."""
    dump = world.folder / "gateway.dump"
    kept = (await world.nodes.run(store.newest)).number
    await _wait_until_served(world, kept)
    await _postgres("pg_dump", "--format=custom", f"--file={dump}", await world.nodes.address())
    lost = await world.nodes.run(partial(_apply_one, world.folder))
    await _wait_until_served(world, lost)
    await world.nodes.run(_create_restored, "postgres", "postgres")
    restored = await world.nodes.address(database="restored")
    await _postgres("pg_restore", f"--dbname={restored}", str(dump))
    await world.nodes.run(lambda db: db.execute(_SQL["swap"]), "postgres", "postgres")
    seconds = await _wait_until_served(world, kept)
    world.note(f"all workers served what the restored database has after {seconds:.1f} s")
    if seconds > FOLLOW_TIMEOUT:
        world.problem(f"workers followed after {seconds:.1f} s, more than {FOLLOW_TIMEOUT:g} s")
    await _wait_for_notification(world)


async def revoke(world: World) -> None:
    """Log out, and kill the primary at the moment of the answer: the token must not work again."""
    caller = Client(lambda: PORT, CALLERS_ADDRESS)
    session = body_of(await caller.ask(world.load.operations.log_in(OPERATOR).request))
    token = token_of(session)
    accepted: list[float] = []
    async with _probing(world, token, accepted):
        await asyncio.sleep(1)
        log_out = world.load.operations.log_out(row_of(session), token)
        code = (await caller.ask(log_out.request)).code
        ended = time.monotonic()
        await world.kill_primary()
    if code != 200 or not accepted:
        world.problem(f"the log-out was answered {code}, after {len(accepted)} accepted calls")
        return
    seconds = max(0.0, max(accepted) - ended)
    world.note(f"the token was last accepted {seconds * 1000:.0f} ms after the log-out")
    if seconds > REVOKED_TIMEOUT:
        world.problem(f"a revoked token was accepted for {seconds:.1f} s")


@contextlib.asynccontextmanager
async def _probing(world: World, token: str, accepted: list[float]) -> AsyncIterator[None]:
    """Call each gateway with a token for the length of the block; note when it was accepted."""
    machines = [gateway.machine for gateway in world.gateways] * PROBES
    probes = [asyncio.create_task(_probe(machine, token, accepted)) for machine in machines]
    try:
        yield
    finally:
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)


async def _probe(machine: Machine, token: str, accepted: list[float]) -> None:
    client = Client(lambda: PORT, machine.address)
    call = request("GET", STATUSES, headers={"authorization": f"Bearer {token}"})
    while True:
        sent = time.monotonic()
        with contextlib.suppress(LostError):
            if (await client.ask(call)).code == 200:
                accepted.append(sent)
        await asyncio.sleep(PROBE_INTERVAL)


async def _served(world: World) -> set[int]:
    """The revisions that the workers serve; -1 for one that does not answer."""
    machines = [gateway.machine for gateway in world.gateways] * PROBES
    return set(await asyncio.gather(*(_revision(machine) for machine in machines)))


async def _revision(machine: Machine) -> int:
    answer = await get(machine.address, "/nowhere")
    found = answer and _REVISION.search(answer.head)
    return int(found[1]) if found else -1


async def _wait_until_served(world: World, revision: int) -> float:
    """Wait until all workers serve a revision; return the seconds. Raises TimeoutError."""
    started = time.monotonic()
    while (served := await _served(world)) != {revision}:
        if time.monotonic() > started + GIVE_UP:
            raise TimeoutError(f"workers serve {sorted(served)} instead of revision {revision}")
        await asyncio.sleep(POLL_INTERVAL)
    return time.monotonic() - started


async def _wait_for_notification(world: World) -> None:
    """Wait until a notification says that the database went back."""
    deadline = time.monotonic() + GIVE_UP
    while not await world.nodes.run(lambda db: db.fetchval(_SQL["notifications"])):
        if time.monotonic() > deadline:
            world.problem("no notification says that the database went back")
            return
        await asyncio.sleep(POLL_INTERVAL)


async def _apply_one(folder: Path, db: Connection) -> int:
    """Apply one more route; return the revision."""
    file = folder / "one.yaml"
    await asyncio.to_thread(file.write_text, ONE.format(number=1))
    [desired] = check(file)
    return (await apply(db, desired, Author("failover"))).revision


async def _create_restored(db: Connection) -> None:
    await db.execute("create database restored owner gateway")


async def _postgres(name: str, *words: str) -> None:
    """Run one of PostgreSQL's programs. Raises CalledProcessError."""
    command = [str(programs.find_binaries() / name), *words]
    await asyncio.to_thread(subprocess.run, command, check=True)
