"""How long the rows of sessions stay after the sessions have ended."""

from pathlib import Path

from gateway.database.handle import Database
from gateway.database.slices import delete_slice
from gateway.database.sql import load_queries
from gateway.identity import lifetime

KEPT_DAYS = 30
_SQL = load_queries(Path(__file__).with_name("accounts.sql"))


async def sweep(database: Database) -> bool:
    """Delete a slice of the sessions that ended more than 30 days ago, the oldest first.

    Return whether more may be left.
    """
    return await delete_slice(
        database, _SQL["sweep_sessions"], lifetime.MAX_AGE, lifetime.MAX_IDLE, KEPT_DAYS
    )
