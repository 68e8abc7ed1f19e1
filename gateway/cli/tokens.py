"""Verbs about tokens: create, list, revoke."""

import click

from gateway.cli.database import with_database
from gateway.cli.options import json_option
from gateway.cli.output import echo, echo_error, print_rows
from gateway.database.connect import Connection
from gateway.identity import issue
from gateway.runtime.errors import OperatorError

COLUMNS = ("id", "application", "routes", "note", "created_at", "revoked_at", "state")


@click.command
@click.option("--application", required=True, help="Slug of the application.")
@click.option(
    "--routes",
    default="",
    help="Routes that the token may call, separated by commas: names, `service.*`, or `*`.",
)
@click.option("--user", default="", help="Create a session instead: e-mail address of its user.")
@click.option("--note", default="", help="What the token is for.")
def create_token(application: str, *, routes: str, user: str, note: str) -> None:
    """Create a token and print it once: only its hash is stored.

    An application may have several tokens at once. To rotate a token, create another one, let
    the application use it, then revoke the first: no call fails in between. A name of `--routes`
    that gives the token no route is only warned of: a later manifest may have one.

    Example: `gateway token create --application planoorder --routes 'order_stages.*'`
    """
    if user and (routes or note):
        raise OperatorError("a session has neither --routes nor --note: omit them, or omit --user")

    async def work(connection: Connection) -> tuple[str, list[str]]:
        if user:
            return await issue.session(connection, user, application), []
        token = await issue.application_token(connection, application, routes, note)
        return token, await issue.useless_routes(connection, routes)

    token, warnings = with_database(work)
    for warning in warnings:
        echo_error(f"warning: {warning}")
    echo(token)


@click.command
@click.option("--application", default="", help="Slug: list only tokens of this application.")
@json_option
def list_tokens(*, application: str, as_json: bool) -> None:
    """List application tokens, including revoked ones; the tokens themselves are not shown.

    Example: `gateway token list --application planoorder`
    """
    rows = with_database(
        lambda connection: issue.application_tokens(connection, application or None)
    )
    print_rows(COLUMNS, rows, as_json=as_json)


@click.command
@click.argument(
    "token_id", metavar="[ID]", type=int, required=False, help="Id from `gateway token list`."
)
@click.option("--user", default="", help="End all sessions of the user with this e-mail address.")
def revoke_token(token_id: int | None, *, user: str) -> None:
    """Revoke an application token, or end all sessions of a user; workers learn of it at once.

    The application's other tokens stay valid. To rotate a token, create another one first.

    Example: `gateway token revoke 12`
    """
    if (token_id is None) == (not user):
        raise OperatorError("name what to revoke: the id of a token, or --user and an e-mail")
    if token_id is None:
        count = with_database(lambda connection: issue.end_sessions(connection, user))
        echo(f"ended {count} {'session' if count == 1 else 'sessions'} of {user}")
        return
    application = with_database(lambda connection: issue.revoke(connection, token_id))
    echo(f"revoked token {token_id} of {application}")
