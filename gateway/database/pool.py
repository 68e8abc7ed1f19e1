"""A small pool of asyncpg connections with prepared statements; who comes first is served first.

asyncpg's own pool sends a reset query at each release and wakes waiters unfairly; nothing here
sets session state, so there is nothing to reset.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Hashable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg
import orjson

from gateway.database.bulkhead import Bulkhead
from gateway.database.coalesce import Coalescer
from gateway.database.wait_queue import WaitQueue

COMMAND_TIMEOUT = 10.0
"""Seconds in which a command gets its connection: no caller waits for it."""

CONNECT_TIMEOUT = 2.0
"""Seconds in which a request gets one: few, since a server that is frozen refuses nothing."""

CLOSE_TIMEOUT = 1.0
STOPPING = "the gateway is stopping"
PING = "select 1"
LOG_INTERVAL = 1.0
STEPS = 4

KEEP_ALIVE = """
set tcp_keepalives_idle = 60; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3
"""
"""So that what stands between forgets no idle connection, and the server no worker that is gone.

As a statement: poolers refuse such a setting where a connection begins.
"""

T = TypeVar("T")
_log = logging.getLogger(__name__)

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
    # What asyncpg says between the server's last words and the end of the connection.
    asyncpg.InternalClientError,
)
"""How the server itself, or asyncpg for it, says that it is gone or no longer writes."""

LOST = (OSError, TimeoutError, *SERVER_GONE)
"""The same with what the network says, where nothing else is in the way."""


FAULTS = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""Whatever asking the database may end with, but for rows."""


class UnavailableError(Exception):
    """The database cannot be used now. Whether a write that was under way counts is unknown."""


async def connect(dsn: str, within: float = COMMAND_TIMEOUT) -> Connection:
    """One connection, after so many seconds at most. Raises UnavailableError."""
    opening = asyncio.create_task(_open(dsn))
    try:
        return await patient_timeout(opening, within)
    except ValueError as error:
        # Its text may quote the address, and so the password.
        raise UnavailableError("the address of the database cannot be read") from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UnavailableError(str(error) or f"no answer within {within:g} s") from error
    except asyncio.CancelledError:
        opening.add_done_callback(_discard)
        raise


async def _open(dsn: str) -> Connection:
    # So that times which the server itself writes as JSON are in UTC, as those that we write.
    connection: Connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    try:
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
        )
        await connection.execute(KEEP_ALIVE)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _discard(opening: asyncio.Task[Connection]) -> None:
    """Nobody waits for it any more, and it may have opened all the same."""
    if not opening.cancelled() and not opening.exception():
        opening.result().terminate()


async def patient_timeout(work: Awaitable[T], seconds: float) -> T:
    """The result of some work. Raises TimeoutError if it takes longer.

    In steps, so that a pause of this process, after which all time is up at once, does not pass
    for one of the server.
    """
    task = asyncio.ensure_future(work)
    try:
        for _ in range(STEPS):
            await asyncio.wait({task}, timeout=seconds / STEPS)
            if task.done():
                return task.result()
    finally:
        task.cancel()
    raise TimeoutError


# jsonb on the wire is its version, 1, and JSON text.
def _to_jsonb(value: object) -> bytes:
    return b"\x01" + orjson.dumps(value)


def _from_jsonb(data: bytes) -> Any:  # noqa: ANN401 - JSON is any
    return orjson.loads(data[1:])


@contextmanager
def hard_timeout(connection: Connection, seconds: float) -> Iterator[None]:
    """Give a connection up on which some work takes longer. Raises UnavailableError.

    A time-out would only cancel the work, and a rollback then waits for the server without end.
    """
    expired = False

    def give_up() -> None:
        nonlocal expired
        expired = True
        connection.terminate()

    timer = asyncio.get_running_loop().call_later(seconds, give_up)
    try:
        yield
    except (*LOST, asyncpg.InterfaceError) as error:
        if expired:
            raise UnavailableError(f"no answer within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()


class translate_errors:  # noqa: N801 - used as a function
    """Turn the loss of a connection into UnavailableError, and never use it again.

    A class, since a generator costs three times as much, and each statement runs in one.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Judge what the block ended with. Raises UnavailableError."""
        if isinstance(error, SERVER_GONE):
            self._connection.terminate()
            raise UnavailableError(str(error) or "the database does not answer") from error
        # Also what a mistake of our own raises, which must not pass for an outage.
        is_network = isinstance(error, OSError | asyncpg.InterfaceError)
        if is_network and self._connection.is_closed():
            raise UnavailableError(str(error) or "the database does not answer") from error


class Pool:
    """At most `size` connections, opened when first needed and given out in order of asking.

    One owner, such as a route, has at most three quarters of them, and waits for its own: one that
    is slow must not hold up the others. While there is a `problem`, whoever asks is told so at
    once: see `Heartbeat`.
    """

    def __init__(self, dsn: str, size: int) -> None:
        self.problem: str | None = None
        self.shared = Coalescer()
        self.size = size
        self._shares = Bulkhead(max(1, size * 3 // 4))
        self._dsn = dsn
        self._spare = size
        self._out: set[Connection] = set()
        self._closing = False
        self._told = -LOG_INTERVAL
        self._untold = 0
        self._idle: list[Connection] = []
        self._waiters: WaitQueue[Connection | None] = WaitQueue()

    async def take(self, owner: Hashable = None) -> Connection:
        """A connection, which has to be given back. Raises UnavailableError."""
        self._refuse_in_trouble()
        if owner is not None:
            await self._shares.take(owner)
        try:
            connection = await self._take()
        except BaseException:
            self._leave(owner)
            raise
        self._out.add(connection)
        return connection

    def give(self, connection: Connection, owner: Hashable = None) -> None:
        """Give it back, closed or not."""
        self._out.discard(connection)
        self._give(connection)
        self._leave(owner)

    def _leave(self, owner: Hashable) -> None:
        if owner is not None:
            self._shares.give(owner)

    async def close(self) -> None:
        """Close what is idle; a connection in use is closed when it comes back."""
        self._closing = True
        self._fail_waiters(STOPPING)
        idle = [*self._idle]
        self._idle.clear()
        closing = (connection.close(timeout=CLOSE_TIMEOUT) for connection in idle)
        await asyncio.gather(*closing, return_exceptions=True)

    def tell(self, request_id: str, error: UnavailableError) -> None:
        """Log why a request could not be served, at most once a second; the rest are counted."""
        now = time.monotonic()
        self._untold += 1
        if now - self._told < LOG_INTERVAL:
            return
        more = f" (and {self._untold - 1} more)" if self._untold > 1 else ""
        _log.warning("%s: service-unavailable: %s%s", request_id, error, more)
        self._told, self._untold = now, 0

    def give_up(self, why: str) -> None:
        """Refuse whoever asks from now on, and fail whoever waits for the server."""
        self.problem = why
        # Their waiting statements fail with it, and their places are free again.
        for connection in [*self._out, *self._idle]:
            connection.terminate()
        self._fail_waiters(why)

    def mark_up(self) -> None:
        """Ask the server again."""
        self.problem = None

    def _refuse_in_trouble(self) -> None:
        if self.problem or self._closing:
            raise UnavailableError(self.problem or STOPPING)

    async def _take(self) -> Connection:
        self._refuse_in_trouble()
        while self._idle:
            # The one used last: its server process has plans and rows at hand.
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._spare += 1
        if self._spare:
            self._spare -= 1
            return await self._open()
        # A connection that somebody gave back, or leave to open one in its place.
        given = await self._waiters.wait(self._give)
        return given or await self._open()

    async def _open(self) -> Connection:
        """Open a connection in a place that is reserved already."""
        try:
            return await connect(self._dsn, CONNECT_TIMEOUT)
        except UnavailableError as error:
            self._spare += 1
            self._fail_waiters(str(error))
            raise
        except BaseException:
            self._release_place()
            raise

    def _give(self, connection: Connection | None) -> None:
        if connection is None or connection.is_closed():
            self._release_place()
        elif self._closing:
            connection.terminate()
        elif not self._waiters.give(connection):
            self._idle.append(connection)

    def _release_place(self) -> None:
        if not self._waiters.give(None):
            self._spare += 1

    def _fail_waiters(self, why: str) -> None:
        """Whoever waits would only meet the same: say so at once rather than one by one."""
        self._shares.fail(UnavailableError(why))
        self._waiters.fail(UnavailableError(why))
