"""Replicas that answer reads: how old their data is, and which of them may answer.

The age of a replica's data is found without clocks of servers and without writing. Each measurement
asks the primary for the end of its WAL, and then each replica how far it has replayed. A replica
that has replayed the end of an earlier measurement has all that was committed before that. So an
idle primary makes no replica late, and a primary that is away makes all of them older and older.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from asyncpg import Record

from gateway.database.connect import address_of
from gateway.database.errors import DatabaseError
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.sql import load_queries
from gateway.runtime import database_address, events

MEASURE_INTERVAL = 0.5
MEASURE_TIMEOUT = 1.0
IDLE_DELAY = 60.0
"""Seconds without a read, after which nothing is measured; the primary answers the next read."""

MAX_STALE = 300.0
"""The greatest age that a route may allow, in seconds."""

_SQL = load_queries(__file__)


class Position(NamedTuple):
    """The end of the primary's WAL at a time of the loop's clock."""

    at: float
    lsn: int
    timeline: int
    system: int


class Replica:
    """One replica: the `pool` for calls, and a connection of its own to ask about its state.

    It has all that was committed before `complete_until`, by the loop's clock.
    """

    def __init__(self, dsn: str, pool: Pool) -> None:
        self.name = address_of(dsn).rpartition("/")[0]
        self.pool = pool
        self.complete_until = -math.inf
        self._probe = Pool(dsn, 1, purpose="replica")

    async def measure(self, positions: Sequence[Position]) -> None:
        """Find the latest of the primary's positions that it has replayed."""
        try:
            row = await Database.within(self._probe, MEASURE_TIMEOUT).fetchrow(_SQL["replica"])
        except DatabaseError as error:
            self._mark_down(str(error))
            return
        position = positions[-1] if positions else None
        if row is None or row["lsn"] is None:
            self._mark_down("it is not a standby")
        elif position and row["system"] != position.system:
            self._mark_down("it is a standby of another primary")
        else:
            self._mark_up()
            self.complete_until = next(
                (each.at for each in reversed(positions) if _has_replayed(row, each)), -math.inf
            )

    def _mark_down(self, reason: str) -> None:
        """Use it no more; calls that wait for its answer fail, and ask the primary."""
        if self.pool.problem is None:
            events.emit(events.DATABASE_REPLICA_LOST, replica=self.name, reason=reason)
        self.complete_until = -math.inf
        self.pool.mark_down(reason)

    def _mark_up(self) -> None:
        if self.pool.problem is not None:
            events.emit(events.DATABASE_REPLICA_BACK, replica=self.name)
        self.pool.mark_up()

    async def close(self) -> None:
        """Close its connections."""
        await asyncio.gather(self.pool.close(), self._probe.close())


def _has_replayed(row: Record, position: Position) -> bool:
    """Whether a replica has all that the primary had then. One on another timeline may not.

    Its timeline is unknown if it reads archived WAL, or if the role may not see it.
    """
    is_same = row["timeline"] in {None, position.timeline}
    return is_same and bool(row["lsn"] >= position.lsn)


class Replicas:
    """The replicas of an address, which may name several hosts; none if it is empty.

    `reads` counts the reads that replicas may answer, by the server that did.
    """

    def __init__(self, address: str, primary: Pool, open_pool: Callable[[str], Pool]) -> None:
        addresses = database_address.one_host_each(address) if address else []
        self.reads = {"replica": 0, "primary": 0}
        self._replicas = [Replica(dsn, open_pool(dsn)) for dsn in addresses]
        self._primary = primary
        self._positions: deque[Position] = deque(maxlen=math.ceil(MAX_STALE / MEASURE_INTERVAL))
        self._measuring: dict[Replica, asyncio.Task[None]] = {}
        self._asked = asyncio.Event()
        self._asked_at = 0.0
        self._turn = 0

    def pick(self, stale: float) -> Replica | None:
        """A replica whose data is at most `stale` seconds old, each in its turn; None if none is.

        In a worker that has not read from replicas lately, none is known to be.
        """
        now = self._asked_at = asyncio.get_running_loop().time()
        self._asked.set()
        fresh = [replica for replica in self._replicas if now - replica.complete_until <= stale]
        self._turn += 1
        return fresh[self._turn % len(fresh)] if fresh else None

    async def run(self) -> None:
        """Measure until cancelled, as long as calls ask for replicas."""
        while self._replicas:
            await self._asked.wait()
            await self._measure()
            await asyncio.sleep(MEASURE_INTERVAL)
            if asyncio.get_running_loop().time() - self._asked_at > IDLE_DELAY:
                self._asked.clear()

    async def _measure(self) -> None:
        at = asyncio.get_running_loop().time()
        try:
            row = await Database.within(self._primary, MEASURE_TIMEOUT).fetchrow(_SQL["primary"])
        except DatabaseError:
            # Without a new position the replicas' data becomes older; the heartbeat reports why.
            row = None
        if row:
            self._positions.append(Position(at, **row))
        # Not waited for: a replica that does not answer must not delay the others.
        for replica in self._replicas:
            if replica not in self._measuring:
                self._measuring[replica] = asyncio.create_task(self._measure_one(replica))

    async def _measure_one(self, replica: Replica) -> None:
        try:
            await replica.measure(self._positions)
        finally:
            del self._measuring[replica]

    async def close(self) -> None:
        """Close all connections to replicas."""
        for task in [*self._measuring.values()]:
            task.cancel()
        await asyncio.gather(*(replica.close() for replica in self._replicas))
