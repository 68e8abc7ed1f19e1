"""The database of a verb: its address, a connection, and messages for its errors."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.cli.context import load_settings
from gateway.database.connect import Connection, address_of, connect
from gateway.database.errors import (
    UNDEFINED_TABLE,
    DatabaseError,
    DatabaseUnavailable,
    translate_errors,
)
from gateway.settings import SettingError, Settings

T = TypeVar("T")


def database_url(settings: Settings) -> str:
    """The database's address. Raises SettingError if none is set."""
    if not settings.database_url:
        raise SettingError(
            "GATEWAY_DATABASE_URL is not set: set it to a PostgreSQL database, or run "
            "`gateway dev`, which starts one and writes its address to .gateway/dev.json"
        )
    return settings.database_url


def with_database(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` on one connection. Raises SettingError, DatabaseUnavailable."""
    url = database_url(load_settings())
    try:
        return asyncio.run(_with_connection(url, work))
    except DatabaseUnavailable as error:
        message = f"the database {address_of(url)} cannot be used: {error}"
        raise DatabaseUnavailable(message) from error


async def _with_connection(url: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    connection = await connect(url)
    try:
        with translate_errors(connection):
            return await work(connection)
    finally:
        await connection.close()


def describe_error(error: Exception) -> str | None:
    """The message for the operator about a database error; None for any other error."""
    if isinstance(error, DatabaseUnavailable):
        return str(error)
    if not isinstance(error, DatabaseError):
        return None
    if error.sqlstate == UNDEFINED_TABLE:
        return "the database does not have the gateway's tables yet: run `gateway migrate`"
    return f"the database refused the command: {error} (SQLSTATE {error.sqlstate})"
