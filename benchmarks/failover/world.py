"""All machines of a run, the tokens of its callers, and what happens to every run's mail."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from chaos.mandrill import Mandrill

from failover.gateways import Balancer, Gateway, wait_until_reachable
from failover.load import Load
from failover.network import HERE, Machine
from failover.nodes import Nodes
from gateway.dev import demo

CHECKED_AFTER = 2.0
"""Seconds after which HAProxy knows which node is the primary: it begins with all of them."""


class World:
    """The cluster, in the order in which it is built."""

    def __init__(self, folder: Path, *, is_synchronous: bool) -> None:
        folder.mkdir()
        self.folder = folder
        self.is_synchronous = is_synchronous
        self.arrivals: Counter[int] = Counter()
        """How often the stand-in for Mandrill accepted each message, by its id in the outbox."""

        self.tokens: Mapping[str, str] = {}
        self.load: Load
        """The load of the fault that happens now."""

        self.notes: list[str] = []
        self.problems: list[str] = []
        """What the fault that happens now found out, and what did not hold beside its limits."""

        self._mandrill = Mandrill(self.arrivals, HERE)
        self.nodes = Nodes(folder, is_synchronous=is_synchronous)
        self.balancers = [Balancer(number, folder) for number in (1, 2)]
        self.gateways: list[Gateway] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start everything, for the length of the block."""
        await self._mandrill.start()
        try:
            await self._start()
            yield
        finally:
            for machine in self.machines:
                await asyncio.to_thread(machine.remove)
            await self._mandrill.stop()

    @property
    def machines(self) -> list[Machine]:
        """All machines."""
        return [
            *(gateway.machine for gateway in self.gateways),
            *(balancer.machine for balancer in self.balancers),
            *self.nodes.machines.values(),
        ]

    def note(self, text: str) -> None:
        """Note what the fault that happens now found out."""
        self.notes.append(text)

    def problem(self, text: str) -> None:
        """Note what did not hold."""
        self.problems.append(text)

    async def kill_primary(self) -> None:
        """Kill every process of the primary server; return when the database is whole again."""
        primary = await self.nodes.primary()
        self.nodes.machines[primary].kill("bin/postgres")
        self.nodes.machines[primary].kill("postgres:")
        await self.nodes.wait_for_another(primary)
        await self.nodes.wait_until_whole()

    def restarts(self) -> int:
        """How many processes of gateways have ended by themselves."""
        ended = sum(gateway.has_ended for gateway in self.gateways)
        return ended + sum(gateway.ended_workers() for gateway in self.gateways)

    async def _start(self) -> None:
        self.gateways += [Gateway(number, self.folder, self._mandrill.url) for number in (1, 2)]
        await self.nodes.start()
        first = self.gateways[0]
        for gateway in self.gateways:
            gateway.start_proxies()
        for balancer in self.balancers:
            balancer.start()
        await asyncio.sleep(CHECKED_AFTER)
        await first.command("migrate")
        await first.command("apply")
        self.tokens = await self.nodes.run(lambda db: demo.fill(db, {}))
        await asyncio.gather(*(gateway.start() for gateway in self.gateways))
        await wait_until_reachable()
