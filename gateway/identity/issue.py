"""Create, list and revoke tokens: the functions behind `gateway token`."""

import re
from datetime import UTC, datetime
from pathlib import Path

from asyncpg import Record

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.identity import applications, emails, one_line, tokens, users
from gateway.runtime.errors import OperatorError

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_ROUTE = re.compile(r"\*|[a-z][a-z0-9_]*\.(?:\*|[a-z][a-z0-9_]*)", re.ASCII)
_MAX_ID = 2**63 - 1


class IssueError(OperatorError):
    """A token cannot be created, listed or revoked; the text says why."""


async def application_token(
    connection: Connection, application: str, routes: str, note: str
) -> str:
    """Create a token of an application; `routes` are names, separated by commas.

    Raises IssueError.
    """
    names = _names(routes)
    if not names:
        raise IssueError(
            "name the routes that the token may call: --routes 'order_stages.*', or '*' for all"
        )
    for name in names:
        if not _ROUTE.fullmatch(name):
            raise IssueError(f"invalid route {name!r}: use `service.action`, `service.*` or `*`")
    if not one_line.is_one_line(note):
        raise IssueError(f"a note {one_line.MESSAGE}")
    token = tokens.make(tokens.APPLICATION_PREFIX)
    args = application, tokens.digest(token), names, note
    if await connection.fetchval(_SQL["create_application_token"], *args) is None:
        raise await _refused_application(connection, application)
    return token


async def useless_routes(connection: Connection, routes: str) -> list[str]:
    """Warnings of the names of routes with which a token of an application can call nothing."""
    rows = await connection.fetch(_SQL["reached_routes"], _names(routes))
    return [
        f"{row['name']} gives no route that takes application tokens"
        if row["is_known"]
        else f"no route of the registry matches {row['name']}"
        for row in rows
        if not row["is_usable"]
    ]


def _names(routes: str) -> list[str]:
    return [name.strip() for name in routes.split(",") if name.strip()]


async def session(connection: Connection, email: str, application: str) -> str:
    """Create a session of a user in an application; return its token. Raises IssueError."""
    token = tokens.make(tokens.SESSION_PREFIX)
    args = emails.fold(email), application, tokens.digest(token), datetime.now(UTC)
    if await connection.fetchval(_SQL["create_session"], *args) is None:
        raise await _refused_session(connection, email, application)
    return token


async def _refused_session(connection: Connection, email: str, application: str) -> OperatorError:
    """Why a session cannot be created. Raises UserError for an unknown user."""
    user = await users.show(connection, email)
    if user["disabled_at"] is not None:
        return IssueError(f"{email} is disabled: `gateway user enable {email}` first")
    return await _refused_application(connection, application)


async def _refused_application(connection: Connection, slug: str) -> OperatorError:
    """Why an application gets no token. Raises ApplicationError for an unknown one."""
    application = await applications.show(connection, slug)
    return IssueError(
        f"the application {slug!r} was removed: its manifest left it out at "
        f"{application['removed_at']:%Y-%m-%d %H:%M:%S} UTC; apply a manifest that has it"
    )


async def application_tokens(connection: Connection, application: str | None) -> list[Record]:
    """List the tokens of one application or of all, without their hashes.

    Raises ApplicationError.
    """
    rows: list[Record] = await connection.fetch(_SQL["application_tokens"], application)
    if application is not None and not rows:
        await applications.show(connection, application)
    return rows


async def revoke(connection: Connection, token_id: int) -> str:
    """Revoke an application's token; return the application's slug. Raises IssueError."""
    row = None
    if 0 < token_id <= _MAX_ID:
        row = await connection.fetchrow(_SQL["revoke_application_token"], token_id)
    if row is None:
        raise IssueError(f"unknown token {token_id}; `gateway token list` lists the tokens")
    application: str = row["application"]
    if not row["revoked_now"]:
        raise IssueError(f"token {token_id} of {application} is already revoked")
    return application


async def end_sessions(connection: Connection, email: str) -> int:
    """End all sessions of a user; return how many. Raises IssueError."""
    ended: int | None = await connection.fetchval(_SQL["end_sessions"], emails.fold(email))
    if ended is None:
        raise users.unknown(email)
    return ended
