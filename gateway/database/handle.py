"""What a service does with the database, within its call's deadline."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

import asyncpg

from gateway.database.pool import (
    CLOSE_TIMEOUT,
    Connection,
    Pool,
    UnavailableError,
    translate_errors,
)
from gateway.runtime.timeout import Timeout
from gateway.values import ClientLeftError

T = TypeVar("T")

ATTEMPTS = 3
MIN_STATEMENT_TIMEOUT = 0.1
"""Seconds that a statement gets even where the deadline is over."""


def _stays() -> bool:
    return False


_TRY_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""The server has rolled back by itself: nothing was done, so it can be done again."""

_log = logging.getLogger(__name__)


class Database:
    """The database, as one call sees it.

    `scope` is who may share its reads, `owner` whose share of the connections it uses: the route.
    Once a statement is on its way the deadline no longer cancels the call, since its outcome
    would be unknown: a late answer is then an unavailable database, not a service's time-out.
    Nor does a caller that leaves; one that `has_left` before is done nothing for.
    """

    __slots__ = ("_deadline", "_owner", "_pool", "_scope", "has_left", "sent")

    def __init__(
        self,
        pool: Pool,
        deadline: float,
        scope: Hashable = None,
        owner: Hashable = None,
        has_left: Callable[[], bool] = _stays,
    ) -> None:
        self._pool = pool
        self._deadline = deadline
        self._scope = scope
        self._owner = owner
        self.has_left = has_left
        self.sent: Callable[[], None] = lambda: None

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        """The first row of one statement, which is a transaction of its own."""
        return await self.run(lambda db: db.fetchrow(query, *args))

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """All rows of one statement, which is a transaction of its own."""
        return await self.run(lambda db: db.fetch(query, *args))

    async def shared(self, make: Callable[["Database"], Awaitable[T]], *key: Hashable) -> T:
        """What `make` reads, shared with all that wait for the same.

        `key` is all that the result depends on, beside the route and the caller's application and
        role. The query begins after everybody who shares it asked, so that nothing is stale; its
        result has several owners and must not be changed.
        """

        def query(tell: Callable[[], None]) -> Awaitable[T]:
            work = Database(self._pool, self._deadline, owner=self._owner)
            work.sent = tell
            return make(work)

        made: T = await self._pool.shared.read((self._scope, *key), query, self.sent)
        return made

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` in one transaction; it may be run again after a deadlock."""

        async def whole(connection: Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self.run(whole)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` on one connection.

        Raises UnavailableError when the database is gone, and ClientLeftError.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(work)
            except _TRY_AGAIN as error:
                if attempt == ATTEMPTS:
                    raise UnavailableError(str(error)) from error
                _log.info("the database rolled back, trying again: %s", error)
        raise AssertionError

    async def _once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        connection = await self._pool.take(self._owner)
        try:
            self._begin()
            return await self._in_time(connection, work)
        finally:
            self._pool.give(connection, self._owner)

    def _begin(self) -> None:
        """What is begun is finished, whoever leaves. Raises ClientLeftError."""
        if self.has_left():
            raise ClientLeftError
        self.has_left = _stays
        self.sent()

    async def _in_time(
        self, connection: Connection, work: Callable[[Connection], Awaitable[T]]
    ) -> T:
        timer = Timeout(
            max(self._deadline, asyncio.get_running_loop().time() + MIN_STATEMENT_TIMEOUT)
        )
        try:
            with translate_errors(connection), timer:
                return await work(connection)
        except TimeoutError as error:
            if not timer.expired:
                raise
            await _abandon(connection)
            raise UnavailableError("the database did not answer in time") from error


class Transaction(Database):
    """The same within a transaction that somebody else began, and will repeat if need be."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self.has_left = _stays
        self.sent = lambda: None
        self._connection = connection

    async def shared(self, make: Callable[[Database], Awaitable[T]], *_: Hashable) -> T:
        """What `make` reads; nobody else may see what this transaction wrote."""
        return await make(self)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` on the connection of the transaction."""
        return await work(self._connection)


async def _abandon(connection: Connection) -> None:
    """Close in order, which lets the server hear that the statement is cancelled.

    A connection that is merely cut leaves the statement waiting, to write after all.
    """
    try:
        await connection.close(timeout=CLOSE_TIMEOUT)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
