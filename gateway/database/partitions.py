"""Adds partitions by ranges of an id ahead, for the tables that `gateway.partition_ahead` names."""

from gateway.database.handle import Database
from gateway.database.sql import load_queries

_SQL = load_queries(__file__)


async def add_missing(database: Database) -> bool:
    """Add one partition where the ranges end soon; return whether there was one.

    Raises DatabaseError if a transaction uses the table for longer than 100 ms; the next round
    tries again, and rows above the last range go to the default partition meanwhile.
    """
    [row] = await database.fetch(_SQL["add_missing"])
    is_added: bool = row["is_added"]
    return is_added
