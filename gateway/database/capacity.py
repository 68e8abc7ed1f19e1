"""How many connections a server takes."""

from pathlib import Path

from gateway.database.pool import CONNECT_TIMEOUT, FAULTS, UnavailableError, connect
from gateway.database.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


async def allowed(dsn: str) -> int | None:
    """The most connections that the server takes from ordinary users; None where it is away."""
    try:
        connection = await connect(dsn, CONNECT_TIMEOUT)
        try:
            most: int = await connection.fetchval(_SQL["connections_allowed"])
        finally:
            connection.terminate()
    except (UnavailableError, *FAULTS):
        return None
    return most


async def exceeded(dsn: str, wanted: int) -> int | None:
    """The server's limit, if so many connections are more than that; None if not, or unknown."""
    most = await allowed(dsn)
    return most if most is not None and wanted > most else None
