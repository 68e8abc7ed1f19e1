"""A call's handle on the database, bounded by the call's deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

import asyncpg

from gateway.database.connect import CLOSE_TIMEOUT, Connection
from gateway.database.errors import (
    READ_ONLY,
    DatabaseError,
    DatabaseReadOnly,
    DatabaseUnavailable,
    is_retryable,
    translate_errors,
)
from gateway.database.pool import Pool
from gateway.database.traced import traced
from gateway.runtime import events
from gateway.runtime.timeout import Timeout
from gateway.values import ClientDisconnectedError

T = TypeVar("T")

ATTEMPTS = 3
MIN_STATEMENT_TIMEOUT = 0.1
"""Seconds that a statement gets even if the deadline has passed."""


def never() -> bool:
    """False: work that no client waits for is not disconnected."""
    return False


class Database:
    """The database as one call sees it.

    Only calls with an equal `scope` share reads; `owner`, the route, is whose share of the
    connections is used. Before any SQL is sent, the deadline cancels the call, and the work is
    skipped if the client has disconnected (`is_disconnected`). Once SQL is sent neither ends the
    call, since its outcome would be unknown. A late answer then means an unavailable database, and
    not a time-out of the service.
    """

    __slots__ = ("_deadline", "_owner", "_pool", "_scope", "is_disconnected", "on_sent")

    def __init__(
        self,
        pool: Pool,
        deadline: float,
        scope: Hashable = None,
        owner: Hashable = None,
        is_disconnected: Callable[[], bool] = never,
    ) -> None:
        self._pool = pool
        self._deadline = deadline
        self._scope = scope
        self._owner = owner
        self.is_disconnected = is_disconnected
        self.on_sent: Callable[[], None] = lambda: None

    @classmethod
    def within(cls, pool: Pool, seconds: float) -> "Database":
        """The database for work of the gateway's own that begins now, and has so many seconds."""
        return cls(pool, asyncio.get_running_loop().time() + seconds)

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        """The first row of one statement, which is a transaction of its own."""
        return await self.run(lambda db: db.fetchrow(query, *args))

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """All rows of one statement, which is a transaction of its own."""
        return await self.run(lambda db: db.fetch(query, *args))

    async def shared(self, read: Callable[["Database"], Awaitable[T]], *key: Hashable) -> T:
        """The result of `read`, shared with all calls that wait for the same key.

        `key` is everything that the result depends on, besides the route and the caller's
        application and role. The query starts after all these calls have asked, so no caller sees
        stale data. Several callers get the same object, which must not be changed.
        """

        def query(on_sent: Callable[[], None]) -> Awaitable[T]:
            database = self._for_shared_read()
            database.on_sent = on_sent
            return read(database)

        result: T = await self._pool.coalescer.read((self._scope, *key), query, self.on_sent)
        return result

    def _for_shared_read(self) -> "Database":
        """A handle for a read that does not end when one of its callers disconnects."""
        return Database(self._pool, self._deadline, owner=self._owner)

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` in one transaction; after a deadlock `work` is run again."""

        async def in_transaction(connection: Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self.run(in_transaction)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` on one connection. Raises DatabaseError and ClientDisconnectedError."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self.run_once(work)
            except DatabaseReadOnly as error:
                # After a fail-over a new connection finds the new primary.
                self._pool.discard_idle()
                if attempt > 1:
                    raise
                events.emit(events.DATABASE_RETRIED, reason=str(error))
            except DatabaseUnavailable as error:
                self._pool.refusals.record(error)
                raise
            except DatabaseError as error:
                if not is_retryable(error):
                    raise
                if attempt == ATTEMPTS:
                    raise DatabaseUnavailable(str(error)) from error
                events.emit(events.DATABASE_RETRIED, reason=str(error))
        raise AssertionError

    async def run_once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` on one connection; after an error it is not run again."""
        connection = await self._pool.acquire(self._owner)
        try:
            self._begin()
            return await self._run_in_time(connection, work)
        except DatabaseUnavailable as error:
            # A refusal tells that nothing was written.
            error.was_sent = error.sqlstate is None and not isinstance(error, DatabaseReadOnly)
            raise
        finally:
            self._pool.release(connection, self._owner)

    def _begin(self) -> None:
        """Commit to the work: from now on it is finished even if the client disconnects.

        Raises ClientDisconnectedError.
        """
        if self.is_disconnected():
            raise ClientDisconnectedError
        self.is_disconnected = never
        self.on_sent()

    async def _run_in_time(
        self, connection: Connection, work: Callable[[Connection], Awaitable[T]]
    ) -> T:
        earliest = asyncio.get_running_loop().time() + MIN_STATEMENT_TIMEOUT
        timer = Timeout(max(self._deadline, earliest))
        try:
            with translate_errors(connection), timer:
                if self._pool.commits.problem:
                    return await self._run_read_only(connection, work)
                return await work(traced(connection))
        except TimeoutError as error:
            if not timer.expired:
                raise
            self._pool.statement_timeouts += 1
            if self._pool.commits.problem:
                connection.terminate()  # see `Pool.cut`
            await _abandon(connection)
            raise DatabaseUnavailable("the database did not answer in time") from error

    async def _run_read_only(
        self, connection: Connection, work: Callable[[Connection], Awaitable[T]]
    ) -> T:
        """Run `work` where the server refuses writes, since it would not confirm their commits."""
        refused = DatabaseUnavailable(self._pool.commits.problem or "", READ_ONLY)
        try:
            async with connection.transaction(readonly=True):
                return await work(traced(connection))
        except asyncpg.ReadOnlySQLTransactionError as error:
            raise refused from error


class Transaction(Database):
    """The database inside a transaction, which its caller began and repeats after a deadlock."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self.is_disconnected = never
        self.on_sent = lambda: None
        self._connection = connection

    async def shared(self, read: Callable[[Database], Awaitable[T]], *_: Hashable) -> T:
        """The result of `read`, not shared: other transactions do not see what this one wrote."""
        return await read(self)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` on the connection of the transaction."""
        return await work(self._connection)


async def _abandon(connection: Connection) -> None:
    """Close the connection in order, so that the server cancels the statement.

    If the connection were only terminated, the statement would continue to wait, and could write
    later.
    """
    try:
        await connection.close(timeout=CLOSE_TIMEOUT)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
