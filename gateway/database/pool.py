"""A small pool of asyncpg connections with prepared statements; waiters are served in order.

asyncpg's own pool sends a reset query at each release, and does not wake waiters in order. The
gateway sets no session state, so there is nothing to reset.
"""

import asyncio
import math
import random
import time
from collections.abc import Hashable, Sequence

from gateway.database.bulkhead import Bulkhead
from gateway.database.coalesce import Coalescer
from gateway.database.commits import Commits
from gateway.database.connect import CLOSE_TIMEOUT, CONNECT_TIMEOUT, Connection, connect
from gateway.database.errors import DatabaseUnavailable
from gateway.database.refusals import Refusals
from gateway.database.wait_queue import WaitQueue
from gateway.runtime.metrics import PoolUsage

MIN_AGE = 0.9
"""The part of the greatest age that each connection reaches; they are not closed all at once."""

STOPPING = "the gateway is stopping"


def random_age(max_age: float) -> float:
    """The seconds until a connection is replaced, if none may be older than `max_age`."""
    return max_age * random.uniform(MIN_AGE, 1) or math.inf  # noqa: S311 - not a secret


def any_in_use(pools: Sequence["Pool"], grants: Sequence[int]) -> bool:
    """Whether a pool's connection is still in use that `has_in_use` speaks of, for its `grants`.

    Asked after a while, that means a statement that takes long.
    """
    return any(pool.has_in_use(number) for pool, number in zip(pools, grants, strict=True))


class Pool:
    """At most `size` connections, opened when first needed and granted in order of request.

    A single owner, such as a route, may use at most three quarters of them, so a slow one cannot
    starve the others. While `problem` is set, every request for a connection is refused at once:
    see `Availability`. `down_since` is when it was set, in seconds of the monotonic clock.
    `refusals` records what the server refuses; `commits` says whether it confirms commits; the
    pools of a worker share both. `purpose` is a part of the connections' name at the server. An
    idle connection is closed before it is `max_age` seconds old, one in use when it is released; 0
    means never.
    """

    def __init__(
        self,
        dsn: str,
        size: int,
        refusals: Refusals | None = None,
        *,
        purpose: str = "calls",
        max_age: float = 0,
    ) -> None:
        self.problem: str | None = None
        self.down_since: float | None = None
        self.refusals = refusals or Refusals()
        self.commits = Commits()
        self.coalescer = Coalescer()
        self.size = size
        self._bulkhead = Bulkhead(max(1, size * 3 // 4))
        self._dsn = dsn
        self._purpose = purpose
        self._max_age = max_age
        self._unopened = size
        # Each connection in use with the number of its grant; the oldest grant comes first.
        self._in_use: dict[Connection, int] = {}
        self.grants = 0
        self._idle: list[Connection] = []
        self._expired: set[Connection] = set()
        # A waiter receives a connection, or None: permission to open one.
        self._waiters: WaitQueue[Connection | None] = WaitQueue()
        self._closing = False
        self.waiting_timeouts = 0
        self.statement_timeouts = 0

    async def acquire(self, owner: Hashable = None) -> Connection:
        """A connection, to be released by the same owner. Raises DatabaseUnavailable."""
        self._refuse_if_down()
        try:
            connection = await self._acquire_for(owner)
        except asyncio.CancelledError:
            # A call is cancelled at its deadline. It is also cancelled when the worker ends, but
            # then the counts end as well.
            self.waiting_timeouts += 1
            raise
        self.grants = self._in_use[connection] = self.grants + 1
        return connection

    async def _acquire_for(self, owner: Hashable) -> Connection:
        if owner is not None:
            await self._bulkhead.acquire(owner)
        try:
            return await self._acquire()
        except BaseException:
            self._leave_bulkhead(owner)
            raise

    def release(self, connection: Connection, owner: Hashable = None) -> None:
        """Return a connection, closed or not."""
        self._in_use.pop(connection, None)
        self._release(connection)
        self._leave_bulkhead(owner)

    def _leave_bulkhead(self, owner: Hashable) -> None:
        if owner is not None:
            self._bulkhead.release(owner)

    async def close(self) -> None:
        """Close the idle connections; a connection in use is closed when it is released."""
        self._closing = True
        self._fail_waiters(STOPPING)
        idle = [*self._idle]
        self._idle.clear()
        closing = (connection.close(timeout=CLOSE_TIMEOUT) for connection in idle)
        await asyncio.gather(*closing, return_exceptions=True)

    @property
    def outage(self) -> str | None:
        """Why work is refused: an event tells when that begins and ends, so no part logs it."""
        return self.problem or self.commits.problem

    def random_age(self) -> float:
        """The seconds until a connection that opens now is replaced."""
        return random_age(self._max_age)

    def usage(self) -> PoolUsage:
        """How the pool is used now."""
        return PoolUsage(
            in_use=len(self._in_use),
            idle=len(self._idle),
            waiting=len(self._waiters),
            waiting_bulkhead=self._bulkhead.waiting(),
            waiting_timeouts=self.waiting_timeouts,
            statement_timeouts=self.statement_timeouts,
        )

    def mark_down(self, why: str) -> None:
        """Refuse every request for a connection; fail the waiters and the running statements."""
        self.problem = why
        self.down_since = self.down_since or time.monotonic()
        # Running statements fail with their connections, which frees their places.
        for connection in [*self._in_use, *self._idle]:
            connection.terminate()
        self._fail_waiters(why)

    def discard_idle(self) -> None:
        """Close the idle connections, since their server no longer suits."""
        for connection in self._idle:
            connection.terminate()

    def mark_up(self) -> None:
        """Grant connections again."""
        self.problem = self.down_since = None

    def has_in_use(self, grants: int) -> bool:
        """Whether a connection is still in use that was granted when `grants` had this value."""
        return next(iter(self._in_use.values()), math.inf) <= grants

    def cut(self, grants: int) -> None:
        """Close the connections that `has_in_use` speaks of: their statements fail.

        The server is not asked to cancel them. It would end the wait of a commit that no standby
        has, and others would see the rows, which a fail-over would lose.
        """
        for connection, grant in [*self._in_use.items()]:
            if grant <= grants:
                connection.terminate()

    def _refuse_if_down(self) -> None:
        if self.problem or self._closing:
            raise DatabaseUnavailable(self.problem or STOPPING)

    async def _acquire(self) -> Connection:
        self._refuse_if_down()
        while self._idle:
            # The most recently used one: its server process has plans and rows in its caches.
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._unopened += 1
        if self._unopened:
            self._unopened -= 1
            return await self._open()
        return await self._waiters.wait(self._release) or await self._open()

    async def _open(self) -> Connection:
        """Open a connection; its place is already reserved."""
        try:
            connection = await connect(self._dsn, CONNECT_TIMEOUT, purpose=self._purpose)
        except DatabaseUnavailable as error:
            self._unopened += 1
            self._fail_waiters(str(error))
            raise
        except BaseException:
            self._release_place()
            raise
        if self._max_age:
            self._limit_age(connection)
        return connection

    def _limit_age(self, connection: Connection) -> None:
        timer = asyncio.get_running_loop().call_later(self.random_age(), self._expire, connection)
        connection.add_termination_listener(lambda _: timer.cancel())

    def _expire(self, connection: Connection) -> None:
        """Close a connection now if it is idle, otherwise when it is released."""
        if connection not in self._idle:
            self._expired.add(connection)
            return
        self._idle.remove(connection)
        connection.terminate()
        self._release_place()

    def _release(self, connection: Connection | None) -> None:
        if connection in self._expired:
            self._expired.discard(connection)
            connection.terminate()
        if connection is None or connection.is_closed():
            self._release_place()
        elif self._closing:
            connection.terminate()
        elif not self._waiters.hand_over(connection):
            self._idle.append(connection)

    def _release_place(self) -> None:
        if not self._waiters.hand_over(None):
            self._unopened += 1

    def _fail_waiters(self, why: str) -> None:
        """Fail every waiter at once: each would only get the same error later."""
        self._bulkhead.fail_waiters(DatabaseUnavailable(why))
        self._waiters.fail_all(DatabaseUnavailable(why))
