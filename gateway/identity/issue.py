"""Make tokens for applications and for users, as ops do by command."""

import re
from datetime import UTC, datetime
from pathlib import Path

from gateway.database.pool import Connection
from gateway.database.sql import load_queries
from gateway.identity import tokens

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_ROUTE = re.compile(r"\*|[a-z][a-z0-9_]*\.(?:\*|[a-z][a-z0-9_]*)", re.ASCII)


class IssueError(Exception):
    """The token cannot be made; the text says why."""


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
