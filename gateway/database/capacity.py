"""How many connections the server accepts."""

from pathlib import Path

from gateway.database.connect import CONNECT_TIMEOUT, connect
from gateway.database.errors import DatabaseError, DatabaseUnavailable, translate_errors
from gateway.database.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


async def max_connections(dsn: str) -> int | None:
    """The maximum of connections for ordinary users; None if the server does not answer."""
    try:
        connection = await connect(dsn, CONNECT_TIMEOUT, purpose="capacity")
    except DatabaseUnavailable:
        return None
    try:
        with translate_errors(connection):
            limit: int = await connection.fetchval(_SQL["max_connections"])
    except DatabaseError:
        return None
    finally:
        connection.terminate()
    return limit


async def exceeded_limit(dsn: str, needed: int) -> int | None:
    """The server's limit if it is below `needed` connections; otherwise, or if unknown, None."""
    limit = await max_connections(dsn)
    return limit if limit is not None and needed > limit else None
