"""What ops do with notifications, by command."""

from collections.abc import Sequence
from pathlib import Path

from asyncpg import Record

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.runtime.errors import OperatorError

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class NotificationError(OperatorError):
    """A notification is not there or is resolved already; the text says which."""


async def notifications(connection: Connection, most: int, *, resolved: bool) -> list[Record]:
    """Notifications that are open, and with `resolved` the others too; the newest seen first."""
    found: list[Record] = await connection.fetch(_SQL["list"], resolved, most)
    return found


async def resolve(connection: Connection, numbers: Sequence[int], by: str) -> int:
    """Resolve notifications, all that are open if none is named; answer how many.

    Raises NotificationError, and then changes nothing, if one of them is not open.
    """
    async with connection.transaction():
        rows = await connection.fetch(_SQL["resolve"], [*numbers] or None, by)
        left = sorted({*numbers} - {row["id"] for row in rows})
        if left:
            which = ", ".join(map(str, left))
            raise NotificationError(
                f"nothing was changed: there is no open notification {which}; "
                "see `gateway notifications list`"
            )
    return len(rows)
