"""List and show applications: the functions behind `gateway application`."""

from pathlib import Path

from asyncpg import Record

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.identity import lifetime
from gateway.runtime.errors import OperatorError
from gateway.runtime.suggest import did_you_mean

_SQL = load_queries(Path(__file__).with_name("accounts.sql"))
_AGES = lifetime.MAX_AGE, lifetime.MAX_IDLE


class ApplicationError(OperatorError):
    """An application is unknown; the text names the most similar one."""


async def list_all(connection: Connection) -> list[Record]:
    """All applications by slug, with the numbers of their live tokens and sessions."""
    rows: list[Record] = await connection.fetch(_SQL["applications"], None, *_AGES)
    return rows


async def show(connection: Connection, slug: str) -> Record:
    """One application. Raises ApplicationError."""
    row = await connection.fetchrow(_SQL["applications"], slug, *_AGES)
    if row is None:
        known = [row["slug"] for row in await list_all(connection)]
        raise ApplicationError(
            f"unknown application {slug!r}{did_you_mean(slug, known)}; "
            "`gateway application list` lists the known ones"
        )
    return row
