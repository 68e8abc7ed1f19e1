"""Verbs on tokens: create, list, revoke."""

from typing import Annotated

import typer

from gateway.cli.database import with_database
from gateway.cli.options import Json
from gateway.cli.output import echo, print_rows
from gateway.database.connect import Connection
from gateway.identity import issue
from gateway.settings import SettingError

COLUMNS = ("id", "application", "routes", "note", "created_at", "revoked_at", "state")


def create_token(
    application: Annotated[str, typer.Option(help="Slug of the application.")],
    routes: Annotated[
        str, typer.Option(help="Routes it may call, by commas: names, `service.*`, or `*`.")
    ] = "",
    user: Annotated[str, typer.Option(help="E-mail of a user: makes a session instead.")] = "",
    note: Annotated[str, typer.Option(help="What the token is for.")] = "",
) -> None:
    """Make a token and print it; it is stored nowhere and cannot be shown again.

    An application may have several tokens at once. To rotate one, create another, let the
    application use it, then revoke the first: no call fails in between.

    Example: `gateway token create --application planoorder --routes 'order_stages.*'`
    """
    if user and (routes or note):
        raise SettingError("a session has neither --routes nor --note: leave out --user or these")

    async def work(connection: Connection) -> str:
        if user:
            return await issue.session(connection, user, application)
        return await issue.application_token(connection, application, routes, note)

    echo(with_database(work))


def list_tokens(
    *,
    application: Annotated[str, typer.Option(help="Slug: only tokens of this application.")] = "",
    as_json: Json = False,
) -> None:
    """List the tokens of applications, the revoked ones too; never the tokens themselves.

    Example: `gateway token list --application planoorder`
    """
    found = with_database(lambda db: issue.application_tokens(db, application or None))
    print_rows(COLUMNS, found, as_json=as_json)


def revoke_token(
    token_id: Annotated[
        int | None, typer.Argument(metavar="ID", help="Id of a token, of `gateway token list`.")
    ] = None,
    user: Annotated[
        str, typer.Option(help="E-mail of a user: ends all sessions of that user instead.")
    ] = "",
) -> None:
    """Revoke a token of an application, or end all sessions of a user; workers hear of it at once.

    The application's other tokens go on: to rotate a token, create another one first.

    Example: `gateway token revoke 12`
    """
    if (token_id is None) == (not user):
        raise SettingError("say what to revoke: the id of a token, or --user and an e-mail")
    if token_id is None:
        ended = with_database(lambda db: issue.end_sessions(db, user))
        echo(f"ended {ended} {'session' if ended == 1 else 'sessions'} of {user}")
        return
    application = with_database(lambda db: issue.revoke(db, token_id))
    echo(f"revoked token {token_id} of {application}")
