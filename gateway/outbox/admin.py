"""What operators do with the outbox: the functions behind `gateway outbox`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from asyncpg import Record

from gateway.database.all_or_none import update_all
from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.runtime.errors import OperatorError

STATES = ("waiting", "parked", "sent", "discarded")
OUTSTANDING = STATES[:2]

MAX_ERRORS = 20

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class Filters(NamedTuple):
    """Which messages to list; None takes all."""

    kind: str | None = None
    error: str | None = None
    fault: str | None = None


class OutboxError(OperatorError):
    """A message is unknown, or its state does not allow the change; the text says which."""


def states_named(name: str) -> Sequence[str]:
    """The states that a filter names: one state, `all`, or if empty the states not sent yet.

    Raises OutboxError.
    """
    if name not in {"", "all", *STATES}:
        raise OutboxError(f"unknown state {name!r}: use {', '.join(STATES)} or all")
    return {"": OUTSTANDING, "all": STATES}.get(name, (name,))


async def messages(connection: Connection, states: Sequence[str], limit: int) -> list[Record]:
    """Messages in these states, newest first, without their content."""
    rows: list[Record] = await connection.fetch(_SQL["list"], states, limit)
    return rows


async def page(
    connection: Connection, states: Sequence[str], filters: Filters, limit: int, offset: int
) -> list[Record]:
    """A page of the messages in these states that fit the filters, newest first."""
    rows: list[Record] = await connection.fetch(
        _SQL["page"], states, filters.kind, filters.error, filters.fault, limit, offset
    )
    return rows


async def errors(connection: Connection) -> list[Record]:
    """The last errors of the messages that are not sent, with their numbers, the most first."""
    rows: list[Record] = await connection.fetch(_SQL["errors"], MAX_ERRORS)
    return rows


async def retry_error(connection: Connection, error: str) -> int:
    """Make the messages due now whose last error is this one; return how many."""
    return len(await connection.fetch(_SQL["retry_error"], error))


async def message(connection: Connection, message_id: int) -> Record:
    """One message with its content, attempts and last error. Raises OutboxError."""
    row = await connection.fetchrow(_SQL["show"], message_id)
    if row is None:
        raise OutboxError(
            f"unknown message {message_id}; `gateway outbox list --state all` lists the messages"
        )
    return row


async def retry(connection: Connection, ids: Sequence[int]) -> int:
    """Make messages due now, all parked ones if `ids` is empty; return how many.

    Raises OutboxError, and then changes nothing, if one of them cannot be retried.
    """
    return await update_all(connection, _SQL["retry"], ids, refusal=partial(_refusal, "retried"))


async def retry_fault(connection: Connection, fault: str) -> int:
    """Make the messages due now that failed with one error, a notification's deduplication key.

    Messages with an attempt in progress are left alone. Returns how many were changed.
    """
    return len(await connection.fetch(_SQL["retry_fault"], fault))


async def redirect(connection: Connection, message_id: int, email: str) -> None:
    """Change the address of a mail that was not sent, and retry it. Raises OutboxError."""
    async with connection.transaction():
        if await connection.fetchval(_SQL["redirect"], message_id, email) is None:
            raise OutboxError(
                f"nothing was changed: message {message_id} is not a mail that can be retried; "
                f"`gateway outbox show {message_id}` shows its kind and state"
            )
        await retry(connection, [message_id])


async def discard(connection: Connection, ids: Sequence[int]) -> int:
    """Discard messages, which are then never sent; return how many.

    Raises OutboxError, and then changes nothing, if one of them cannot be discarded.
    """
    refusal = partial(_refusal, "discarded")
    return await update_all(connection, _SQL["discard"], ids, refusal=refusal)


def _refusal(change: str, ids: str) -> OutboxError:
    return OutboxError(
        f"nothing was changed: these messages cannot be {change}: {ids}; only a waiting or parked "
        "message can be, while no attempt at it is in progress; `gateway outbox show` shows its "
        "state"
    )
