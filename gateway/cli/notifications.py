"""Verbs on notifications: list, resolve."""

from typing import Annotated

import typer

from gateway.cli.context import current_user
from gateway.cli.database import with_database
from gateway.cli.options import Ids, Json
from gateway.cli.output import echo, print_rows
from gateway.notifications import admin
from gateway.settings import SettingError

COLUMNS = (
    *("id", "severity", "kind", "route", "count", "first_seen", "last_seen", "message"),
    *("request_id", "resolved_at", "resolved_by"),
)
OPEN_COLUMNS = COLUMNS[:-2]


def list_notifications(
    *,
    resolved: Annotated[bool, typer.Option("--all", help="The resolved ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List the notifications that are open: each fault once, with how often it was met.

    Example: `gateway notifications list`
    """
    found = with_database(lambda db: admin.notifications(db, limit, resolved=resolved))
    print_rows(COLUMNS if resolved else OPEN_COLUMNS, found, as_json=as_json)


def resolve(
    numbers: Ids = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
) -> None:
    """Resolve notifications by hand; if the fault comes back, a new one is raised.

    Example: `gateway notifications resolve 3`
    """
    if bool(numbers) == every:
        raise SettingError("say what to resolve: ids of notifications, or --all")
    done = with_database(lambda db: admin.resolve(db, numbers or [], current_user()))
    echo(f"{done} {'notification is' if done == 1 else 'notifications are'} resolved")
