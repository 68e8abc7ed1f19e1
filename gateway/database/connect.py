"""Opens connections to PostgreSQL, and bounds how long work on one may take."""

import asyncio
import os
import re
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import unquote

import asyncpg
import orjson
from asyncpg.connect_utils import SessionAttribute
from asyncpg.protocol.protocol import PreparedStatementState

from gateway.database import hosts
from gateway.database.errors import (
    DatabaseError,
    DatabaseUnavailable,
    describe,
    translate_errors,
)
from gateway.database.tls import describe_tls_error
from gateway.runtime import database_address

COMMAND_TIMEOUT = 10.0
"""Seconds for opening a connection for a command: no client waits for it."""

CONNECT_TIMEOUT = 2.0
"""Seconds for opening a connection for a request; a frozen server never refuses one."""

STANDBY_TIMEOUT = 0.5
"""Seconds that `prefer-standby` waits for a standby before it takes any host."""

CLOSE_TIMEOUT = 1.0
STEPS = 4
"""Waits into which `patient_timeout` divides its time."""

KEEP_ALIVE = """
select set_config('tcp_keepalives_idle', '60', false),
       set_config('tcp_keepalives_interval', '10', false),
       set_config('tcp_keepalives_count', '3', false)
where pg_backend_pid() = {pid}
"""
"""Keeps routers from dropping an idle connection, and the server from keeping a dead worker's.

It is a statement and not a start-up setting, which poolers refuse. It does nothing through a
pooler, which shows its clients other process ids: that session belongs to other clients too.
"""

NAME = "application_name"
_NO_STATEMENT = "gateway_ping"

_PORT = re.compile(r":[0-9]+$")
"""The port after a host; a host with colons of its own is in brackets."""

_MISMATCHES = {
    "read-write": "it does not accept writes",
    "read-only": "it accepts writes",
    "primary": "it is a standby",
    "standby": "it is not a standby",
}
"""Why a host that answers does not suit, by the kind of server that is asked for."""

_CANNOT_CONNECT = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

T = TypeVar("T")

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_OpenHost: TypeAlias = Callable[[str, SessionAttribute | None], Awaitable[Connection]]


def address_of(dsn: str) -> str:
    """The hosts, ports and name of a database, without user and password; empty for no address.

    Addresses are compared as text: a host name and its IP address are different.
    """
    if not dsn:
        return ""
    each = list(map(_address_of_host, database_address.one_host_each(dsn)))
    return f"{','.join(host for host, _ in each).lower()}/{each[0][1]}"


def _address_of_host(dsn: str) -> tuple[str, str]:
    """The host with its port, and the name of the database."""
    authority, _, path = dsn.partition("//")[2].partition("?")[0].partition("/")
    options = database_address.options(dsn)
    user, _, host = authority.rpartition("@")
    host = options.get("host") or unquote(host) or os.environ.get("PGHOST", "localhost")
    port = options.get("port") or os.environ.get("PGPORT", "5432")
    name = unquote(path) or options.get("dbname") or user.partition(":")[0]
    return (host if _PORT.search(host) else f"{host}:{port}"), name


async def connect(
    dsn: str,
    timeout: float = COMMAND_TIMEOUT,  # noqa: ASYNC109 - see `_within`
    *,
    purpose: str = "command",
) -> Connection:
    """Open a connection within `timeout` seconds; `purpose` is a part of its name at the server.

    Several hosts are tried side by side. Raises DatabaseUnavailable.
    """
    return await _within(timeout, _open(dsn, partial(_open_host, purpose=purpose)), dsn)


async def log_in(dsn: str, timeout: float, *, purpose: str) -> Connection:  # noqa: ASYNC109
    """Open a connection on which no statement runs; a pooler needs no server connection for it.

    Raises DatabaseUnavailable.
    """
    return await _within(timeout, _open(dsn, partial(_log_in, purpose=purpose)), dsn)


async def _within(
    timeout: float,  # noqa: ASYNC109 - see below
    work: Coroutine[None, None, Connection],
    dsn: str,
) -> Connection:
    # Not asyncio.timeout: after a pause of this process it would mistake the server for silent.
    opening = asyncio.create_task(work)
    try:
        return await patient_timeout(opening, timeout)
    except (ValueError, *_CANNOT_CONNECT) as error:
        raise _unavailable(error, dsn, timeout) from error
    except asyncio.CancelledError:
        opening.add_done_callback(_discard)
        raise


def _unavailable(error: Exception, dsn: str, timeout: float) -> DatabaseUnavailable:
    message = describe_tls_error(error, dsn) or _describe(error, timeout)
    return DatabaseUnavailable(message, getattr(error, "sqlstate", None))


def _describe(error: Exception, timeout: float) -> str:
    if isinstance(error, ValueError):
        # The error's text may quote the address, and with it the password.
        return "the address of the database is malformed"
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    return describe(error)


async def _open(dsn: str, open_host: _OpenHost) -> Connection:
    each = database_address.one_host_each(dsn)
    if len(each) == 1:
        return await open_host(dsn, None)
    target = database_address.target(dsn)
    if target == "prefer-standby":
        with suppress(DatabaseUnavailable, TimeoutError):
            return await patient_timeout(_open_first(each, open_host, "standby"), STANDBY_TIMEOUT)
        target = "any"
    return await _open_first(each, open_host, target)


async def _open_first(each: Sequence[str], open_host: _OpenHost, target: str) -> Connection:
    """Open a connection to the first host that suits. Raises DatabaseUnavailable."""

    async def open_suitable(dsn: str) -> Connection:
        try:
            return await open_host(dsn, SessionAttribute(target))
        except asyncpg.TargetServerAttributeNotMatched as error:
            raise DatabaseUnavailable(_MISMATCHES[target]) from error
        except (ValueError, *_CANNOT_CONNECT) as error:
            raise _unavailable(error, dsn, COMMAND_TIMEOUT) from error

    try:
        return await hosts.first_of(each, open_suitable, lambda late: late.terminate())
    except hosts.NoHostError as error:
        reasons = [
            f"{address_of(dsn).rpartition('/')[0]}: {reason}"
            for dsn, reason in zip(each, error.errors, strict=True)
        ]
        raise DatabaseUnavailable("; ".join(reasons)) from error


async def _open_host(dsn: str, target: SessionAttribute | None, *, purpose: str) -> Connection:
    connection = await _log_in(dsn, target, purpose=purpose)
    try:
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
        )
        await connection.execute(KEEP_ALIVE.format(pid=connection.get_server_pid()))
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _log_in(dsn: str, target: SessionAttribute | None, *, purpose: str) -> Connection:
    # The server formats times in JSON itself: in UTC, as the gateway does.
    settings = {"timezone": "UTC", **_name(dsn, purpose)}
    connection: Connection = await asyncpg.connect(
        dsn, server_settings=settings, target_session_attrs=target
    )
    return connection


async def ping(connection: Connection) -> None:
    """Wait for an answer of the server; it begins no transaction for it.

    Even an empty query is a transaction, which the server counts and logs. To close a prepared
    statement that does not exist is none, and no error either; asyncpg has no public function for
    it.
    """
    protocol: Any = connection._protocol  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    statement = PreparedStatementState(_NO_STATEMENT, "", protocol, asyncpg.Record, True)  # noqa: FBT003
    await protocol.close_statement(statement, None)


def _name(dsn: str, purpose: str) -> dict[str, str]:
    """The connection's name for `pg_stat_activity`, unless the address already has one.

    The host and the process are those of the worker's name. The server cuts off what is too long.
    """
    if NAME in database_address.options(dsn):
        return {}
    return {NAME: f"gateway {purpose} {socket.gethostname()}:{os.getpid()}"}


def _discard(opening: asyncio.Task[Connection]) -> None:
    """Close a connection that opened after its caller was cancelled."""
    if not opening.cancelled() and not opening.exception():
        opening.result().terminate()


async def patient_timeout(work: Awaitable[T], seconds: float) -> T:
    """The result of `work`. Raises TimeoutError if it takes longer than `seconds`.

    It waits in steps: after a pause of this process only one step has expired, so the pause is not
    mistaken for a silent server.
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


# jsonb on the wire is a version byte, 1, and JSON text.
def _to_jsonb(value: object) -> bytes:
    return b"\x01" + orjson.dumps(value)


def _from_jsonb(data: bytes) -> Any:  # noqa: ANN401 - JSON is any
    return orjson.loads(data[1:])


@contextmanager
def hard_timeout(connection: Connection, seconds: float) -> Iterator[None]:
    """Terminate the connection if the block takes longer than `seconds`. Raises DatabaseError.

    An ordinary time-out would only cancel the work, and the rollback could then wait for the server
    for ever.
    """
    expired = False

    def terminate() -> None:
        nonlocal expired
        expired = True
        connection.terminate()

    timer = asyncio.get_running_loop().call_later(seconds, terminate)
    try:
        with translate_errors(connection):
            yield
    except DatabaseError as error:
        if expired:
            raise DatabaseUnavailable(f"no answer within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
