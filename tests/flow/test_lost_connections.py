"""A statement whose connection is terminated meanwhile: an outage, not a crash."""

from typing import Any

import pytest

from gateway.database.connect import connect
from gateway.database.errors import DatabaseUnavailable, translate_errors


async def use_after_loss(connection: Any) -> None:
    """Do what asyncpg does when it sends a statement that it prepared on a lost connection."""
    connection.terminate()
    with translate_errors(connection):
        await connection._protocol.query("select 1", 1)


async def test_statement_on_a_connection_that_was_terminated_is_unavailable(database: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="the connection is lost"):
        await use_after_loss(await connect(database))


async def test_mistake_of_our_own_is_not_taken_for_an_outage(database: str) -> None:
    connection = await connect(database)
    nothing: Any = None
    with pytest.raises(AttributeError, match="upper"), translate_errors(connection):
        nothing.upper()
    connection.terminate()
