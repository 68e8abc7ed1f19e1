"""Verbs about the registry's past: history, rollback."""

import click

from gateway.cli.context import current_user
from gateway.cli.database import with_database
from gateway.cli.options import (
    actor_option,
    json_option,
    message_option,
    timeout_option,
    wait_option,
)
from gateway.cli.output import console, echo, print_json, print_rows
from gateway.cli.plans import print_plan, print_results
from gateway.database.connect import Connection
from gateway.manifest import history
from gateway.manifest.apply import Applied, Author, rollback
from gateway.manifest.wait import wait_for_workers

COLUMNS = (
    *("revision", "namespace", "applied_at", "applied_by", "message", "source", "reverts_to"),
    *("added", "changed", "deleted"),
)


@click.command
@click.argument("revision", type=int, required=False, help="Show what this revision changed.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Maximum number of revisions to list.",
)
@json_option
def show_history(revision: int | None, *, limit: int, as_json: bool) -> None:
    """List revisions with author, reason and source, or show what one revision changed.

    Example: `gateway history 12`
    """
    if revision is None:
        rows = with_database(lambda connection: history.revisions(connection, limit))
        print_rows(COLUMNS, rows, as_json=as_json)
    else:
        _show_revision(revision, as_json=as_json)


def _show_revision(revision: int, *, as_json: bool) -> None:
    plan = with_database(lambda connection: history.changes_of(connection, revision))
    if as_json:
        print_json(plan.as_object())
    else:
        print_plan(console(), plan)


@click.command
@click.argument(
    "revision", type=click.IntRange(0), help="The revision to go back to; 0 is the empty registry."
)
@wait_option
@timeout_option
@message_option
@actor_option
@json_option
def roll_back(
    revision: int, *, wait: bool, timeout: float, message: str, actor: str, as_json: bool
) -> None:
    """Restore the whole registry to an earlier revision, as a new revision.

    Example: `gateway rollback 11 --wait --message 'appointments were too early'`
    """
    author = Author(actor or current_user(), message)

    async def work(connection: Connection) -> list[Applied]:
        results = await rollback(connection, revision, author)
        if wait and results:
            await wait_for_workers(connection, results[-1].revision, timeout)
        return results

    results = with_database(work)
    print_results(results, as_json=as_json)
    if not (results or as_json):
        echo(f"nothing to change: the registry is the same as at revision {revision}")
