"""What operators do with the outbox: the functions behind `gateway outbox`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from asyncpg import Record

from gateway.database.all_or_none import update_all
from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.outbox.dispatcher import CHANNEL
from gateway.runtime.errors import OperatorError

STATES = ("waiting", "parked", "sent", "discarded")
OUTSTANDING = STATES[:2]
PARKED = ("parked",)

MAX_ERRORS = 20

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


def _changing(change: str) -> str:
    """A statement that changes messages, but only those that an operator may change."""
    return f"with changeable as (\n{_SQL['changeable']}\n)\n{_SQL[change]}"


_RETRY, _REDIRECT, _DISCARD = map(_changing, ("retry", "redirect", "discard"))
_ANY = (None, None)
"""Any last error, and any notification."""


class Filters(NamedTuple):
    """Which messages to list; None takes all."""

    kind: str | None = None
    error: str | None = None
    fault: str | None = None


class MessageGroup(NamedTuple):
    """The messages with the same last error, or with the key of the same notification."""

    error: str | None
    fault: str | None

    @classmethod
    def of(cls, error: str | None = None, fault: str | None = None) -> "MessageGroup":
        """The group of a last error, of a notification's key, or of both.

        Raises ValueError if both are missing, since that would be every message.
        """
        if not (error or fault):
            raise ValueError("name a last error or a notification")
        return cls(error or None, fault or None)


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


async def count(connection: Connection, group: MessageGroup) -> int:
    """How many messages of a group are not sent yet."""
    number: int = await connection.fetchval(_SQL["count"], *group)
    return number


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
    states = OUTSTANDING if ids else PARKED
    refusal = partial(_refusal, "retried")
    changed = await update_all(connection, _RETRY, ids, *_ANY, states, refusal=refusal)
    await _notify(connection)
    return changed


async def retry_group(connection: Connection, group: MessageGroup) -> int:
    """Make the messages of a group due now; return how many.

    Messages with an attempt in progress are left alone.
    """
    changed = await connection.fetch(_RETRY, None, *group, OUTSTANDING)
    await _notify(connection)
    return len(changed)


async def redirect(connection: Connection, message_id: int, email: str) -> None:
    """Change the address of a mail that was not sent, and retry it. Raises OutboxError."""
    rows = await connection.fetch(_REDIRECT, [message_id], *_ANY, OUTSTANDING, email)
    if not rows:
        raise OutboxError(
            f"nothing was changed: message {message_id} is not a mail that can be retried; "
            f"`gateway outbox show {message_id}` shows its kind and state"
        )
    await _notify(connection)


async def discard(connection: Connection, ids: Sequence[int]) -> int:
    """Discard messages, which are then never sent; return how many.

    Raises OutboxError, and then changes nothing, if one of them cannot be discarded.
    """
    if not ids:
        return 0
    refusal = partial(_refusal, "discarded")
    return await update_all(connection, _DISCARD, ids, *_ANY, OUTSTANDING, refusal=refusal)


async def discard_group(connection: Connection, group: MessageGroup) -> int:
    """Discard the messages of a group; return how many.

    Messages with an attempt in progress are left alone.
    """
    return len(await connection.fetch(_DISCARD, None, *group, OUTSTANDING))


async def _notify(connection: Connection) -> None:
    """Let the workers look for messages that are due now."""
    await connection.execute(_SQL["notify"], CHANNEL)


def _refusal(change: str, ids: str) -> OutboxError:
    return OutboxError(
        f"nothing was changed: these messages cannot be {change}: {ids}; only a waiting or parked "
        "message can be, while no attempt at it is in progress; `gateway outbox show` shows its "
        "state"
    )
