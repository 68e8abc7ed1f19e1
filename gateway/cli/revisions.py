"""Verbs that look back, and go back: history, rollback."""

from typing import Annotated

import typer

from gateway.cli.context import current_user
from gateway.cli.database import with_database
from gateway.cli.options import Actor, Json, Message, Timeout, Wait
from gateway.cli.output import console, print_json, print_rows
from gateway.cli.plans import print_plan, print_results
from gateway.database.connect import Connection
from gateway.manifest import history
from gateway.manifest.apply import Applied, Author, rollback
from gateway.manifest.plan import Plan
from gateway.manifest.wait import wait_for_workers

COLUMNS = (
    *("revision", "namespace", "applied_at", "applied_by", "message", "source", "reverts_to"),
    *("added", "changed", "deleted"),
)


def show_history(
    revision: Annotated[int | None, typer.Argument(help="Show what this one changed.")] = None,
    *,
    limit: Annotated[int, typer.Option(help="Most revisions to list.", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """List the revisions: who, when, why, from which file; or show what one changed.

    Example: `gateway history 12`
    """
    if revision is not None:
        _show_one(revision, as_json=as_json)
        return

    print_rows(COLUMNS, with_database(lambda db: history.revisions(db, limit)), as_json=as_json)


def _show_one(revision: int, *, as_json: bool) -> None:
    shown: Plan = with_database(lambda db: history.changes_of(db, revision))
    if as_json:
        print_json(shown.as_object())
    else:
        print_plan(console(), shown)


def roll_back(
    revision: Annotated[int, typer.Argument(help="The revision to go back to; 0 is empty.", min=0)],
    *,
    wait: Wait = False,
    timeout: Timeout = 30.0,
    message: Message = "",
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Make the whole registry what it was at a revision; this is a new revision itself.

    Example: `gateway rollback 11 --wait --message 'appointments were too early'`
    """
    author = Author(actor or current_user(), message)

    async def work(connection: Connection) -> list[Applied]:
        done = await rollback(connection, revision, author)
        if wait and done:
            await wait_for_workers(connection, done[-1].revision, timeout)
        return done

    done: list[Applied] = with_database(work)
    print_results(done, as_json=as_json)
    if not (done or as_json):
        console().print(f"the registry is as it was at revision {revision} already")
