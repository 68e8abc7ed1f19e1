"""A small first-in-first-out pool of asyncpg connections with prepared statements.

asyncpg's own pool sends a reset query at each release and wakes waiters unfairly; nothing here
sets session state, so there is nothing to reset.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import orjson

CONNECT_TIMEOUT = 2.0

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

SERVER_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""How the server itself, or asyncpg for it, says that it is gone or no longer writes."""

LOST = (OSError, TimeoutError, *SERVER_GONE)
"""The same with what the network says, where nothing else is in the way."""


class UnavailableError(Exception):
    """The database cannot be used now. Whether a write that was under way counts is unknown."""


async def connect(dsn: str) -> Connection:
    """One connection. Raises UnavailableError."""
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT)
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
        )
    except ValueError as error:
        # Its text may quote the address, and so the password.
        raise UnavailableError("the address of the database cannot be read") from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UnavailableError(str(error) or "the database does not answer") from error
    return connection


# jsonb on the wire is its version, 1, and JSON text.
def _to_jsonb(value: object) -> bytes:
    return b"\x01" + orjson.dumps(value)


def _from_jsonb(data: bytes) -> Any:  # noqa: ANN401 - JSON is any
    return orjson.loads(data[1:])


@contextmanager
def guarded(connection: Connection) -> Iterator[None]:
    """Turn the loss of a connection into UnavailableError, and never use it again."""
    try:
        yield
    except SERVER_GONE as error:
        connection.terminate()
        raise UnavailableError(str(error) or "the database does not answer") from error
    except (OSError, asyncpg.InterfaceError) as error:
        # Also what a mistake of our own raises, which must not pass for an outage.
        if not connection.is_closed():
            raise
        raise UnavailableError(str(error) or "the database does not answer") from error


class Pool:
    """At most `size` connections, opened when first needed and given out in order of asking."""

    def __init__(self, dsn: str, size: int) -> None:
        self._dsn = dsn
        self._spare = size
        self._closing = False
        self._idle: deque[Connection] = deque()
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the length of the block. Raises UnavailableError."""
        connection = await self._take()
        try:
            yield connection
        finally:
            self._give(connection)

    async def close(self) -> None:
        """Close what is idle; a connection in use is closed when it comes back."""
        self._closing = True
        self._fail_waiters(UnavailableError("the gateway is stopping"))
        while self._idle:
            await self._idle.popleft().close()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.popleft()
            if not connection.is_closed():
                return connection
            self._spare += 1
        if self._spare:
            self._spare -= 1
            return await self._open()
        given = await self._wait()
        return given or await self._open()

    async def _open(self) -> Connection:
        """Open a connection in a place that is reserved already."""
        try:
            return await connect(self._dsn)
        except UnavailableError as error:
            self._spare += 1
            self._fail_waiters(error)
            raise
        except BaseException:
            self._release_place()
            raise

    async def _wait(self) -> Connection | None:
        """A connection that somebody gave back, or None: leave to open one in its place."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # The turn may have been given just before the waiter left: pass it on.
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self._give(waiter.result())
            raise

    def _give(self, connection: Connection | None) -> None:
        if connection is None or connection.is_closed():
            self._release_place()
        elif self._closing:
            connection.terminate()
        elif not self._wake(connection):
            self._idle.append(connection)

    def _release_place(self) -> None:
        if not self._wake(None):
            self._spare += 1

    def _fail_waiters(self, error: UnavailableError) -> None:
        """Whoever waits would only meet the same: say so at once rather than one by one."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(UnavailableError(str(error)))

    def _wake(self, given: Connection | None) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(given)
                return True
        return False
