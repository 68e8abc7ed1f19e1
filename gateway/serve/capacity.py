"""Whether the server accepts the connections of all workers."""

from pathlib import Path
from typing import NamedTuple

from gateway.database.connect import CONNECT_TIMEOUT, Connection, address_of, connect
from gateway.database.errors import (
    UNDEFINED_TABLE,
    DatabaseError,
    DatabaseUnavailable,
    translate_errors,
)
from gateway.database.sql import load_queries
from gateway.registry import store
from gateway.serve.worker import DIRECT_CONNECTIONS, max_connections
from gateway.settings import Settings

_SQL = load_queries(Path(__file__).with_name("capacity.sql"))


class Shortage(NamedTuple):
    """More connections than the server accepts: `others` are workers that run already."""

    connections: int
    others: int
    limit: int


async def find_shortage(settings: Settings) -> Shortage | None:
    """A shortage if all workers use the connections that they may; None if that is unknown.

    The workers that run already count as those that these settings start. Behind a pooler only the
    direct connections count: the pooler has a limit of its own.
    """
    url, direct = settings.database_url, settings.listen_database_url
    is_pooled = address_of(url) != address_of(direct)
    each = DIRECT_CONNECTIONS if is_pooled else max_connections(settings)
    try:
        connection = await connect(direct, CONNECT_TIMEOUT, purpose="capacity")
    except DatabaseUnavailable:
        return None
    try:
        with translate_errors(connection):
            limit: int = await connection.fetchval(_SQL["max_connections"])
            others = await _live_workers(connection)
    except DatabaseError:
        return None
    finally:
        connection.terminate()
    connections = each * (settings.workers + others)
    return Shortage(connections, others, limit) if connections > limit else None


async def _live_workers(connection: Connection) -> int:
    try:
        with translate_errors(connection):
            return await store.live_workers(connection)
    except DatabaseError as error:
        if error.sqlstate != UNDEFINED_TABLE:
            raise
        return 0  # it is not migrated yet
