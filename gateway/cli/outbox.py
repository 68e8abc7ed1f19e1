"""Verbs about the outbox: list, show, retry, discard."""

from collections.abc import Sequence

import click

from gateway.cli.database import with_database
from gateway.cli.options import ID, ids_argument, json_option, limit_option
from gateway.cli.output import echo, print_fields, print_rows
from gateway.identity import emails
from gateway.outbox import admin
from gateway.runtime.errors import OperatorError

COLUMNS = (
    *("id", "kind", "state", "template", "about", "attempts", "created_at", "next_at"),
    *("sent_at", "last_error"),
)


@click.command
@click.option("--state", default="", help="List only messages in this state, or `all`.")
@limit_option
@json_option
def list_messages(*, state: str, limit: int, as_json: bool) -> None:
    """List messages that are not sent: waiting for the next attempt, or parked.

    A parked message is not retried automatically: fix the problem that its `last_error` names,
    then retry it.

    Example: `gateway outbox list --state parked`
    """
    states = admin.states_named(state)
    rows = with_database(lambda connection: admin.messages(connection, states, limit))
    with_subject = [{**row, "about": _subject(row["about"], row["about_id"])} for row in rows]
    print_rows(COLUMNS, with_subject, as_json=as_json)


def _subject(table: str | None, row_id: int | None) -> str | None:
    return table and f"{table} {row_id}"


@click.command
@click.argument("message_id", metavar="ID", type=ID, help="Id from `gateway outbox list`.")
@json_option
def show_message(message_id: int, *, as_json: bool) -> None:
    """Show one message with its content, attempts and last error.

    Example: `gateway outbox show 12`
    """
    message = with_database(lambda connection: admin.message(connection, message_id))
    print_fields(message, as_json=as_json)


@click.command
@ids_argument("gateway outbox list")
@click.option("--all", "every", is_flag=True, help="Retry every parked message.")
@click.option("--to", default="", help="Send one mail to this e-mail address instead.")
def retry(ids: Sequence[int], *, every: bool, to: str) -> None:
    """Retry messages now: a worker picks them up within two seconds.

    A mail keeps the address that its client had when it was written; `--to` replaces it.

    Example: `gateway outbox retry --all`
    """
    if bool(ids) == every:
        raise OperatorError("name what to retry: ids of messages, or --all")
    if to:
        if not emails.is_valid(to):
            raise OperatorError(f"{to!r} is not a valid e-mail address")
        message_id = _single(ids)
        with_database(lambda connection: admin.redirect(connection, message_id, to))
        echo(f"message {message_id} will be retried, to {to}")
        return
    count = with_database(lambda connection: admin.retry(connection, ids))
    echo(f"{_messages(count)} will be retried")


def _single(ids: Sequence[int]) -> int:
    if len(ids) != 1:
        raise OperatorError("--to needs the id of exactly one message")
    return ids[0]


@click.command
@ids_argument("gateway outbox list")
def discard(ids: Sequence[int]) -> None:
    """Discard messages: they are never sent, and stay listed until they are 30 days old.

    Example: `gateway outbox discard 12`
    """
    if not ids:
        raise OperatorError("name what to discard: ids of messages")
    count = with_database(lambda connection: admin.discard(connection, ids))
    echo(f"{_messages(count)} discarded")


def _messages(count: int) -> str:
    return f"{count} {'message' if count == 1 else 'messages'}"
