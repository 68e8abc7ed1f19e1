"""The operators of the console: employees with the permission `ops`, who sign in with a password.

A session of the console is a row of `gateway.sessions` without an application, so that the API
refuses its token. Disabling the user, a new password, or taking the permission ends it at once.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from asyncpg import Record

from gateway import statuses
from gateway.database.handle import Database
from gateway.database.sql import load_queries
from gateway.identity import emails, tokens
from gateway.identity.credentials import Credentials
from gateway.identity.token_store import TokenStore
from gateway.values import Application, Rejection, Session

MAY_ACT = "ops:act"
"""The permission to change something; `ops` alone lets an operator look."""

_SQL = load_queries(Path(__file__).with_name("operators.sql"))


class OperatorStore(TokenStore):
    """The sessions of the console by their tokens, cached like those of the API."""

    async def _session(self, digest: bytes) -> Session | None:
        row = await self._database().fetchrow(_SQL["operator_by_token"], digest)
        return Session.of(row) if row else None

    async def _application(self, digest: bytes) -> Application | None:  # noqa: ARG002
        return None


class Attempt(NamedTuple):
    """An attempt to sign in from an address.

    `replaced` is the token of a session that ends with it; `deadline` is a time of the loop's
    clock.
    """

    email: str
    password: str
    address: str
    replaced: str | None
    deadline: float


async def sign_in(database: Database, credentials: Credentials, attempt: Attempt) -> str:
    """Check a password and begin a session of the console; return its token.

    Raises Rejection: `invalid-password`, also for an unknown address, `permission-denied`, and
    those of the limits of guesses.
    """
    folded = emails.fold(attempt.email)

    async def known_addresses() -> Iterable[str]:
        rows = await database.fetch(_SQL["known_addresses"], folded)
        return [row["address"] for row in rows]

    async with credentials.limits.guessing(attempt.address, folded, known_addresses):
        user = await database.fetchrow(_SQL["user"], folded)
        if user is None or not await _has_password(credentials, user["password_hash"], attempt):
            raise Rejection("invalid-password")
    if not user["may_enter"]:
        raise Rejection(statuses.PERMISSION_DENIED)
    return await _begin(database, credentials, attempt, user)


async def _has_password(credentials: Credentials, stored: str | None, attempt: Attempt) -> bool:
    return stored is not None and await credentials.passwords.verify(
        stored, attempt.password, address=attempt.address, deadline=attempt.deadline
    )


async def _begin(
    database: Database, credentials: Credentials, attempt: Attempt, user: Record
) -> str:
    token = tokens.make(tokens.SESSION_PREFIX)
    ended = tokens.digest(attempt.replaced) if attempt.replaced else None
    args = user["id"], tokens.digest(token), attempt.address, ended, user["password_hash"]
    begun = await database.fetchrow(_SQL["begin"], *args, credentials.max_sessions)
    if begun is None:
        raise Rejection("invalid-password")
    return token


async def sign_out(database: Database, token: str) -> None:
    """End a session of the console."""
    await database.fetch(_SQL["end"], tokens.digest(token))
