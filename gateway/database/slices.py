"""Deletes rows in slices: one large delete would hold locks for long, and be lost as a whole."""

from gateway.database.handle import Database

SLICE = 1000
"""The most rows that one statement deletes."""


async def delete_slice(database: Database, query: str, *args: object) -> bool:
    """Delete at most `SLICE` rows; return whether more may be left.

    The limit is the last argument of the query. Each slice is a transaction of its own, so a worker
    that dies loses one slice of the work, and the next worker begins where it stopped.
    """
    status = await database.run(lambda db: db.execute(query, *args, SLICE))
    deleted = int(status.rpartition(" ")[2])
    return deleted >= SLICE
