"""Verbs about notifications: list, resolve."""

from collections.abc import Sequence

import click

from gateway.cli.context import current_user
from gateway.cli.database import with_database
from gateway.cli.options import ids_argument, json_option, limit_option
from gateway.cli.output import echo, echo_error, print_rows
from gateway.notifications import admin
from gateway.runtime.errors import OperatorError

COLUMNS = (
    *("id", "severity", "kind", "route", "count", "first_seen", "last_seen", "message"),
    *("request_id", "resolved_at", "resolved_by"),
)
OPEN_COLUMNS = COLUMNS[:-2]


@click.command
@click.option("--all", "resolved", is_flag=True, help="Include resolved notifications.")
@limit_option
@json_option
def list_notifications(*, resolved: bool, limit: int, as_json: bool) -> None:
    """List open notifications: each problem once, with how often it occurred.

    Example: `gateway notifications list`
    """
    rows = with_database(
        lambda connection: admin.notifications(connection, limit + 1, resolved=resolved)
    )
    print_rows(COLUMNS if resolved else OPEN_COLUMNS, rows[:limit], as_json=as_json)
    if len(rows) > limit and not as_json:
        echo_error(f"There are more than {limit}: --limit shows more.")


@click.command
@ids_argument("gateway notifications list")
@click.option("--all", "every", is_flag=True, help="Resolve every open notification.")
def resolve(ids: Sequence[int], *, every: bool) -> None:
    """Resolve notifications by hand; a problem that occurs again opens a new one.

    Example: `gateway notifications resolve 3`
    """
    if bool(ids) == every:
        raise OperatorError("name what to resolve: ids of notifications, or --all")
    user = current_user()
    count = with_database(lambda connection: admin.resolve(connection, ids, user))
    echo(f"{count} {'notification' if count == 1 else 'notifications'} resolved")
