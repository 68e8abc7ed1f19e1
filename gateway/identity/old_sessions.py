"""How long the rows of sessions stay after the sessions have ended."""

from pathlib import Path

from gateway.database.handle import Database
from gateway.database.sql import load_queries
from gateway.identity import lifetime

KEPT_DAYS = 30
MAX_SWEPT = 1000
"""Rows that one round deletes, since workers are notified of each."""

_SQL = load_queries(Path(__file__).with_name("accounts.sql"))


async def sweep(database: Database) -> None:
    """Delete the sessions that ended more than 30 days ago, the oldest first."""
    await database.fetch(
        _SQL["sweep_sessions"], lifetime.MAX_AGE, lifetime.MAX_IDLE, KEPT_DAYS, MAX_SWEPT
    )
