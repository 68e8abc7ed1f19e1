"""What ops do with the outbox, by command: look, try again, give up."""

from collections.abc import Sequence
from pathlib import Path

from asyncpg import Record

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.runtime.errors import OperatorError

STATES = ("waiting", "parked", "sent", "discarded")
OUTSTANDING = STATES[:2]

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class OutboxError(OperatorError):
    """A message is not there, or not in a state for this; the text says which."""


def states_named(name: str) -> Sequence[str]:
    """The states that a filter names: one state, `all`, or by default those not sent yet.

    Raises OutboxError.
    """
    if name not in {"", "all", *STATES}:
        raise OutboxError(f"unknown state {name!r}: use {', '.join(STATES)} or all")
    return {"": OUTSTANDING, "all": STATES}.get(name, (name,))


async def messages(connection: Connection, states: Sequence[str], most: int) -> list[Record]:
    """Messages of these states, newest first, without what they say."""
    found: list[Record] = await connection.fetch(_SQL["list"], states, most)
    return found


async def message(connection: Connection, number: int) -> Record:
    """One message, with all that is known of it. Raises OutboxError."""
    row = await connection.fetchrow(_SQL["show"], number)
    if row is None:
        raise OutboxError(f"there is no message {number}: see `gateway outbox list`")
    return row


async def retry(connection: Connection, numbers: Sequence[int]) -> int:
    """Let messages be tried at once, all that are parked if none is named; answer how many.

    Raises OutboxError, and then changes nothing, if one of them cannot be.
    """
    return await _all_or_none(connection, "retry", numbers)


async def redirect(connection: Connection, number: int, email: str) -> None:
    """Send a mail that was not sent to another address, at once. Raises OutboxError."""
    async with connection.transaction():
        if await connection.fetchval(_SQL["redirect"], number, email) is None:
            raise OutboxError(f"nothing was changed: {number} is no mail that can be retried")
        await retry(connection, [number])


async def discard(connection: Connection, numbers: Sequence[int]) -> int:
    """Give messages up, and answer how many. Raises OutboxError as `retry` does."""
    return await _all_or_none(connection, "discard", numbers)


async def _all_or_none(connection: Connection, query: str, numbers: Sequence[int]) -> int:
    async with connection.transaction():
        rows = await connection.fetch(_SQL[query], [*numbers] or None)
        left = sorted({*numbers} - {row["id"] for row in rows})
        if left:
            which = ", ".join(map(str, left))
            raise OutboxError(
                f"nothing was changed: {which} cannot be {_PAST[query]}, being unknown, sent, "
                "discarded or on its way just now; `gateway outbox show` says which"
            )
    return len(rows)


_PAST = {"retry": "retried", "discard": "discarded"}
