"""Make tokens for applications and for users, and end them, as ops do by command."""

import re
from datetime import UTC, datetime
from pathlib import Path

from asyncpg import Record

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.identity import tokens
from gateway.runtime.errors import OperatorError

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_ROUTE = re.compile(r"\*|[a-z][a-z0-9_]*\.(?:\*|[a-z][a-z0-9_]*)", re.ASCII)
_MAX_ID = 2**63 - 1


class IssueError(OperatorError):
    """A token cannot be made or ended; the text says why."""


async def application_token(
    connection: Connection, application: str, routes: str, note: str
) -> str:
    """A new token of an application for these routes, named by commas. Raises IssueError."""
    names = [name.strip() for name in routes.split(",") if name.strip()]
    if not names:
        message = "say which routes the token may call: --routes 'order_stages.*', or '*' for all"
        raise IssueError(message)
    for name in names:
        if not _ROUTE.fullmatch(name):
            message = f"{name!r} is neither a route, nor `service.*`, nor `*`"
            raise IssueError(message)
    token = tokens.make(tokens.APPLICATION_PREFIX)
    args = application, tokens.digest(token), names, note
    if await connection.fetchval(_SQL["create_application_token"], *args) is None:
        message = f"there is no application {application!r}"
        raise IssueError(message)
    return token


async def session(connection: Connection, email: str, application: str) -> str:
    """A new session of a user in an application. Raises IssueError."""
    token = tokens.make(tokens.SESSION_PREFIX)
    args = email, application, tokens.digest(token), datetime.now(UTC)
    if await connection.fetchval(_SQL["create_session"], *args) is None:
        message = f"there is no user {email!r} or no application {application!r}"
        raise IssueError(message)
    return token


async def application_tokens(connection: Connection, application: str | None) -> list[Record]:
    """The tokens of one application or of all, without the tokens. Raises IssueError."""
    found: list[Record] = await connection.fetch(_SQL["application_tokens"], application)
    if (
        application is not None
        and not found
        and not await connection.fetchval(_SQL["application_exists"], application)
    ):
        raise IssueError(f"there is no application {application!r}")
    return found


async def revoke(connection: Connection, token_id: int) -> str:
    """Revoke an application's token, and answer whose it was. Raises IssueError."""
    row = None
    if 0 < token_id <= _MAX_ID:
        row = await connection.fetchrow(_SQL["revoke_application_token"], token_id)
    if row is None:
        raise IssueError(f"there is no token {token_id}: see `gateway token list`")
    application: str = row["application"]
    if not row["revoked_now"]:
        raise IssueError(f"token {token_id} of {application} was revoked already")
    return application


async def end_sessions(connection: Connection, email: str) -> int:
    """End all sessions of a user, and answer how many. Raises IssueError."""
    ended: int | None = await connection.fetchval(_SQL["end_sessions"], email)
    if ended is None:
        raise IssueError(f"there is no user {email!r}")
    return ended
