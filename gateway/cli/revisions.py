"""Verbs about the registry's past: history, rollback."""

import click

from gateway.cli.context import current_user
from gateway.cli.database import with_database
from gateway.cli.options import (
    CHANGES,
    change_options,
    json_option,
)
from gateway.cli.output import console, echo, print_json, print_rows
from gateway.cli.plans import print_plan, print_plans, print_results
from gateway.database.connect import Connection
from gateway.manifest import history
from gateway.manifest.apply import Applied, Author, refuse_breaking
from gateway.manifest.rollback import plan_rollback, rollback
from gateway.manifest.wait import wait_for_workers

COLUMNS = (
    *("revision", "namespace", "applied_at", "applied_by", "message", "source", "reverts_to"),
    *("added", "changed", "deleted", "uid"),
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
@click.argument("revision", type=click.IntRange(0), help="The revision to go back to.")
@click.option(
    "--uid",
    default="",
    help="Refuse a revision whose random id, as in `gateway history`, begins otherwise.",
)
@click.option("--dry-run", is_flag=True, help="Print what would change, and exit as `plan` does.")
@change_options
def roll_back(  # noqa: PLR0913 - each is an option
    revision: int,
    *,
    uid: str,
    dry_run: bool,
    max_deletes: int | None,
    no_breaking: bool,
    wait: bool,
    timeout: float,
    message: str,
    actor: str,
    as_json: bool,
) -> None:
    """Restore the whole registry to an earlier revision, as a new revision.

    Undoing the newest revision may delete any number of routes; going back further may delete as
    many as an apply, unless --max-deletes says more.

    Exit codes: 0 done, 1 an error; with --dry-run 0 nothing to change, 2 changes, 1 an error.

    Example: `gateway rollback 11 --wait --message 'appointments were too early'`
    """
    if dry_run:
        _print_rollback(revision, uid, allow_breaking=not no_breaking, as_json=as_json)
        return
    author = Author(actor or current_user(), message)

    async def work(connection: Connection) -> list[Applied]:
        results = await rollback(
            connection,
            revision,
            author,
            uid=uid,
            max_deletes=max_deletes,
            allow_breaking=not no_breaking,
        )
        if wait and results:
            await wait_for_workers(connection, results[-1].identity, timeout)
        return results

    results = with_database(work)
    print_results(results, as_json=as_json)
    if not (results or as_json):
        echo(_nothing_to_change(revision))


def _print_rollback(revision: int, uid: str, *, allow_breaking: bool, as_json: bool) -> None:
    plans = with_database(lambda connection: plan_rollback(connection, revision, uid))
    print_plans(plans, output_format="json" if as_json else "text")
    if not (plans or as_json):
        echo(_nothing_to_change(revision))
    if not allow_breaking:
        refuse_breaking(plans)
    if plans:
        raise SystemExit(CHANGES)


def _nothing_to_change(revision: int) -> str:
    return f"nothing to change: the registry is the same as at revision {revision}"
