"""The faults, each with what must hold. A fault returns when what it broke is whole again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from failover.gateways import Gateway
from failover.network import cut
from failover.scenarios import restore, revoke
from failover.world import World

HOLD = 15.0
"""Seconds that a fault lasts which nothing ends by itself."""

AFTERWARDS = 5.0
"""Seconds that a fault lasts after another machine has taken over."""

RESTART_DELAY = 2.0
"""`RestartSec` of the unit."""

MIN_CALLS = 6_000
TEN = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault; `fails_for` is the most seconds of failing calls, `failed` the most such calls.

    `share` is the share of the capacity that is called, 0 for the usual rate. One with `is_control`
    is also tried with asynchronous replication, which may lose calls. With `repeats_keys` each
    acknowledged call that has a key is repeated afterwards, and must get the same id.
    With `goes_back` the database is meant to lose calls. One that `may_lose` some, for a reason
    that is not the gateway's, is tried only if it is named.
    """

    title: str
    happen: Callable[[World], Awaitable[None]]
    fails_for: float | None = None
    failed: int | None = None
    share: float = 0.0
    is_control: bool = False
    repeats_keys: bool = False
    goes_back: bool = False
    may_lose: bool = False


async def kill_postgres(world: World) -> None:
    """Kill every process of the primary server; Patroni goes on."""
    await world.kill_primary()


async def kill_machine(world: World) -> None:
    """Kill everything on the machine of the primary, as a loss of power does."""
    primary = await world.nodes.primary()
    world.nodes.machines[primary].kill()
    await world.nodes.wait_for_another(primary)
    await asyncio.sleep(AFTERWARDS)
    world.nodes.restart(primary)
    await world.nodes.wait_until_whole()


async def switch_over(world: World) -> None:
    """Let the standby take over, as before an upgrade."""
    await world.nodes.switch_over()
    await world.nodes.wait_until_whole()


async def freeze_primary(world: World) -> None:
    """Stop every process on the machine of the primary until another one has taken over.

    Another machine leads etcd; see `freeze_primary_and_etcd`.
    """
    primary = await world.nodes.primary()
    await world.nodes.make_etcd_leader(await world.nodes.standby())
    await _hold_until_another(world, primary, world.nodes.machines[primary].frozen())


async def freeze_primary_and_etcd(world: World) -> None:
    """Freeze the primary on the machine that leads etcd.

    An etcd that led, and wakes up, may revoke the leases that its successor has prolonged: the new
    primary then loses its lock to the old one. See etcd's issue 15247.
    """
    primary = await world.nodes.primary()
    await world.nodes.make_etcd_leader(primary)
    await _hold_until_another(world, primary, world.nodes.machines[primary].frozen())


async def unplug_primary(world: World) -> None:
    """Pull the network cable of the primary until another one has taken over."""
    primary = await world.nodes.primary()
    await _hold_until_another(world, primary, world.nodes.machines[primary].unplugged())


async def cut_primary(world: World) -> None:
    """Cut the primary from the other nodes, while the gateways still reach all of them."""
    primary = await world.nodes.primary()
    machines = world.nodes.machines
    others = [machine for name, machine in machines.items() if name != primary]
    await _hold_until_another(world, primary, cut([machines[primary]], others))


async def kill_etcd_leader(world: World) -> None:
    """Kill the leader of etcd for a while."""
    await _kill_etcd(world, [await world.nodes.etcd_leader()])


async def lose_quorum(world: World) -> None:
    """Kill etcd on both standbys for longer than the primary's lease: no majority is left."""
    primary = await world.nodes.primary()
    await _kill_etcd(world, [name for name in world.nodes.machines if name != primary])


async def kill_pgbouncer(world: World) -> None:
    """Kill the PgBouncer of one gateway, and start it again after a while."""
    gateway = world.gateways[0]
    gateway.machine.kill("pgbouncer ")
    await asyncio.sleep(HOLD)
    gateway.start_pgbouncer()
    await gateway.wait_until_ready("?database")


async def restart_pgbouncer(world: World) -> None:
    """Kill the PgBouncer of one gateway, and start it again at once."""
    gateway = world.gateways[0]
    gateway.machine.kill("pgbouncer ")
    gateway.start_pgbouncer()
    await asyncio.sleep(AFTERWARDS)
    await gateway.wait_until_ready("?database")


async def cut_gateway(world: World) -> None:
    """Lose all packets between one gateway and the nodes for a while."""
    gateway = world.gateways[0]
    with cut([gateway.machine], list(world.nodes.machines.values())):
        await asyncio.sleep(HOLD)
    await gateway.wait_until_ready("?database")


async def kill_gateway(world: World) -> None:
    """Kill one gateway with its workers, and start it again as systemd does."""
    gateway = world.gateways[0]
    gateway.kill()
    await asyncio.sleep(RESTART_DELAY)
    await gateway.start()


async def kill_balancer(world: World) -> None:
    """Kill the machine of the balancer that has the callers' address."""
    balancer = next(one for one in world.balancers if one.has_callers())
    balancer.machine.kill()
    await asyncio.sleep(HOLD)
    balancer.start()
    await asyncio.sleep(AFTERWARDS)


async def restart_gateways(world: World) -> None:
    """Restart one gateway after the other, as an update does, until there were enough calls."""
    while len(world.load.record.answers) < MIN_CALLS:
        for gateway in world.gateways:
            await _restart(gateway)


async def restart_gateways_ten_times(world: World) -> None:
    """Restart a gateway ten times in a row, each time another one."""
    for number in range(TEN):
        await _restart(world.gateways[number % len(world.gateways)])


async def _restart(gateway: Gateway) -> None:
    """Restart a gateway, and go on when the balancer knows that it is ready."""
    code = await gateway.stop()
    if code != 0:
        raise RuntimeError(f"{gateway.machine.name} ended with {code}")
    await gateway.start()
    await asyncio.sleep(1)


async def _kill_etcd(world: World, names: list[str]) -> None:
    for name in names:
        world.nodes.machines[name].kill("etcd")
    await asyncio.sleep(2 * HOLD)
    for name in names:
        world.nodes.start_etcd(name)
    await world.nodes.wait_until_whole()


async def _hold_until_another(
    world: World, primary: str, fault: AbstractContextManager[None]
) -> None:
    """Keep up a fault of the primary until another one has taken over, and a little longer."""
    with fault:
        await world.nodes.wait_for_another(primary)
        await asyncio.sleep(AFTERWARDS)
    await world.nodes.wait_until_whole()


FAULTS: Mapping[str, Fault] = {
    "kill": Fault(
        "kill -9 of the primary", kill_postgres, fails_for=6, is_control=True, repeats_keys=True
    ),
    "switchover": Fault("switchover", switch_over, fails_for=5, is_control=True),
    "machine": Fault("machine of the primary lost", kill_machine, is_control=True),
    "frozen": Fault("primary frozen", freeze_primary, is_control=True),
    "frozen-etcd": Fault(
        "primary frozen with etcd's leader", freeze_primary_and_etcd, may_lose=True
    ),
    "unplugged": Fault("primary unplugged", unplug_primary, is_control=True),
    "cut": Fault("primary cut from its standbys", cut_primary, is_control=True),
    "etcd-leader": Fault("leader of etcd killed", kill_etcd_leader, failed=0),
    "etcd-quorum": Fault("majority of etcd lost for 30 s", lose_quorum, failed=0),
    "pgbouncer": Fault("PgBouncer of one gateway dead for 15 s", kill_pgbouncer, fails_for=1),
    "pgbouncer-restart": Fault(
        "PgBouncer of one gateway restarted", restart_pgbouncer, fails_for=1
    ),
    "gateway-cut": Fault("one gateway cut off for 15 s", cut_gateway, fails_for=1),
    "gateway": Fault("one gateway killed", kill_gateway, fails_for=1),
    "balancer": Fault("balancer with the address lost", kill_balancer, fails_for=5),
    "revocation": Fault("log-out, then kill -9 of the primary", revoke),
    "rolling": Fault("rolling restarts", restart_gateways, failed=0),
    "ten": Fault(
        "ten restarts in a row, 70 % load", restart_gateways_ten_times, failed=0, share=0.7
    ),
    # The last one: it takes the database back.
    "restore": Fault("restore of an older backup", restore, goes_back=True),
}
"""The faults by the name that `ONLY=` takes."""

SMOKE = ("kill", "switchover", "pgbouncer-restart", "gateway", "gateway-cut")
