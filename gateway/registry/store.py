"""Read the registry from PostgreSQL into a table."""

from pathlib import Path

from gateway.database.pool import Connection
from gateway.database.sql import load_queries
from gateway.registry.records import Route, Service, route_from, service_from
from gateway.registry.table import Table
from gateway.schema import interned

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

CHANNEL = "gateway_registry"
"""NOTIFY on this channel is a hint that there is a new revision; its number is the truth."""


async def newest(connection: Connection) -> int:
    """The number of the newest revision; 0 before the first."""
    revision: int = await connection.fetchval(_SQL["newest"])
    return revision


async def load(connection: Connection) -> Table:
    """The newest revision, whole: one snapshot, however many applies are under way."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        revision = await newest(connection)
        return Table(revision, await services(connection), await routes(connection))


async def services(connection: Connection) -> list[Service]:
    """All services."""
    rows = await connection.fetch(_SQL["services"])
    return [service_from(row["name"], row["record"]) for row in rows]


async def routes(connection: Connection) -> list[Route]:
    """All routes; those of equal params share one schema object."""
    texts = await connection.fetch(_SQL["schemas"])
    schemas = {row["hash"]: interned(row["text"]) for row in texts}
    rows = await connection.fetch(_SQL["routes"])
    return [route_from(row["name"], row["record"], schemas[row["params"]]) for row in rows]
