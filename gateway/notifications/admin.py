"""What operators do with notifications: the functions behind `gateway notifications`."""

from collections.abc import Sequence
from pathlib import Path

from asyncpg import Record

from gateway.database.all_or_none import update_all
from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.runtime.errors import OperatorError

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class NotificationError(OperatorError):
    """A notification is unknown or already resolved; the text names it."""


async def notifications(connection: Connection, limit: int, *, resolved: bool) -> list[Record]:
    """The open notifications, with `resolved` all of them; the last seen first."""
    rows: list[Record] = await connection.fetch(_SQL["list"], resolved, limit)
    return rows


async def search(
    connection: Connection, limit: int, *, kind: str, text: str, resolved: bool
) -> list[Record]:
    """The open or the resolved notifications of a kind that have a text, the latest first.

    An empty `kind` means any.
    """
    rows: list[Record] = await connection.fetch(_SQL["search"], resolved, kind, text.lower(), limit)
    return rows


async def fold(connection: Connection, notification_id: int) -> str | None:
    """The deduplication key of an open notification; None if it is not open."""
    key: str | None = await connection.fetchval(_SQL["fold"], notification_id)
    return key


async def resolve(connection: Connection, ids: Sequence[int], user: str) -> int:
    """Resolve notifications, all open ones if `ids` is empty; return how many.

    Raises NotificationError, and then changes nothing, if one of them is not open.
    """
    return await update_all(connection, _SQL["resolve"], ids, user, refusal=_not_open)


def _not_open(ids: str) -> NotificationError:
    return NotificationError(
        f"nothing was changed: these notifications are not open: {ids}; "
        "`gateway notifications list` lists the open ones"
    )
