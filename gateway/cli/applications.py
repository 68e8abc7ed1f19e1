"""Verbs about applications: list, show."""

from typing import Any

import click
from asyncpg import Record

from gateway.cli.database import with_database
from gateway.cli.options import json_option
from gateway.cli.output import echo, json_fields, print_fields, print_json, print_rows
from gateway.cli.tokens import COLUMNS as TOKEN_COLUMNS
from gateway.database.connect import Connection
from gateway.identity import applications, issue

COLUMNS = ("slug", "title", "roles", "namespace", "state", "tokens", "sessions")


@click.command
@json_option
def list_applications(*, as_json: bool) -> None:
    """List applications with the numbers of their live tokens and sessions.

    Applications are declared in the manifest alone, under `applications:`. One that its manifest
    leaves out is removed: its tokens and sessions are refused until a manifest has it again.

    Example: `gateway application list`
    """
    rows = with_database(applications.list_all)
    print_rows(COLUMNS, [_with_roles(row) for row in rows], as_json=as_json)


@click.command
@click.argument("slug", metavar="SLUG", help="Slug of the application.")
@json_option
def show_application(slug: str, *, as_json: bool) -> None:
    """Show an application: title, roles, namespace, tokens, number of live sessions.

    Applications are declared in the manifest alone, under `applications:`.

    Example: `gateway application show planoorder`
    """

    async def work(connection: Connection) -> tuple[Record, list[Record]]:
        application = await applications.show(connection, slug)
        return application, await issue.application_tokens(connection, slug)

    application, tokens = with_database(work)
    if as_json:
        fields = json_fields(application, application.keys())
        print_json({**fields, "tokens": [json_fields(row, TOKEN_COLUMNS) for row in tokens]})
        return
    print_fields(_with_roles(application), as_json=False)
    if tokens:
        echo("")
        print_rows(TOKEN_COLUMNS, tokens, as_json=False)


def _with_roles(row: Record) -> dict[str, Any]:
    """The row as a dict; an application without a list of roles has `any`."""
    return {**row, "roles": row["roles"] if row["roles"] is not None else "any"}
