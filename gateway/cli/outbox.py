"""Verbs on the outbox: list, show, retry, discard."""

from typing import Annotated

import typer

from gateway.cli.database import with_database
from gateway.cli.options import Id, Ids, Json
from gateway.cli.output import echo, print_fields, print_rows
from gateway.outbox import admin
from gateway.settings import SettingError

COLUMNS = (
    *("id", "kind", "state", "template", "about", "attempts", "created_at", "next_at"),
    *("sent_at", "last_error"),
)


def list_messages(
    *,
    state: Annotated[str, typer.Option(help="Only messages of this state, or `all`.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List the messages that are not sent: waiting for the next attempt, or parked.

    A parked message is not tried again by itself: mend what its `last_error` names, then retry it.

    Example: `gateway outbox list --state parked`
    """
    states = admin.states_named(state)
    found = with_database(lambda db: admin.messages(db, states, limit))
    shown = [{**row, "about": _about(row["about"], row["about_id"])} for row in found]
    print_rows(COLUMNS, shown, as_json=as_json)


def _about(table: str | None, number: int | None) -> str | None:
    return table and f"{table} {number}"


def show_message(number: Id, *, as_json: Json = False) -> None:
    """Show one message with its content, attempts and last error.

    Example: `gateway outbox show 12`
    """
    print_fields(with_database(lambda db: admin.message(db, number)), as_json=as_json)


def retry(
    numbers: Ids = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that are parked.")] = False,
    to: Annotated[str, typer.Option(help="E-mail address to send one mail to instead.")] = "",
) -> None:
    """Try messages again at once: a worker takes them up within a second or two.

    A mail keeps the address that its client had when it was written; `--to` gives it another.

    Example: `gateway outbox retry --all`
    """
    if bool(numbers) == every:
        raise SettingError("say what to retry: ids of messages, or --all")
    if to:
        number = _only(numbers)
        with_database(lambda db: admin.redirect(db, number, to))
        echo(f"message {number} is tried again, to {to}")
        return
    done = with_database(lambda db: admin.retry(db, numbers or []))
    echo(f"{done} {'message is' if done == 1 else 'messages are'} tried again")


def _only(numbers: list[int] | None) -> int:
    if numbers is None or len(numbers) != 1:
        raise SettingError("--to takes the id of one message")
    return numbers[0]


def discard(numbers: Ids = None) -> None:
    """Give messages up for good: they are never sent, and stay listed until they are 30 days old.

    Example: `gateway outbox discard 12`
    """
    if not numbers:
        raise SettingError("say what to discard: ids of messages")
    done = with_database(lambda db: admin.discard(db, numbers))
    echo(f"{done} {'message is' if done == 1 else 'messages are'} discarded")
