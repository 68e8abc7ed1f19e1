"""The demo data of `gateway dev`: fixed rows, and tokens that are kept in a file."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path

import asyncpg

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.identity import tokens
from gateway.identity.passwords import Passwords
from gateway.runtime.app_folder import AppFolder
from gateway.runtime.errors import OperatorError

_SQL = load_queries(__file__)

APPLICATION = "planoorder"
OPERATOR = "employee@example.com"
"""The demo user who may enter the console, and act there."""

PASSWORD = "demo-password"  # noqa: S105 - of the demo, and documented
_NO_AGE = timedelta(0)
_SESSIONS = {
    "employee": (OPERATOR, _NO_AGE),
    "client": ("client@example.com", _NO_AGE),
    "liaison": ("liaison@example.com", _NO_AGE),
    "nobody": ("nobody@example.com", _NO_AGE),
    "expired": (OPERATOR, timedelta(days=8)),
}
"""Demo tokens that are sessions, by name: their user, and their age."""

PREFIXES = {
    "application": tokens.APPLICATION_PREFIX,
    **dict.fromkeys(_SESSIONS, tokens.SESSION_PREFIX),
}
"""The names of the demo's tokens, with the prefix of each."""


class DemoError(OperatorError):
    """The application folder's `services/demo.sql` cannot be run; the text says why."""


def application_of(slugs: Iterable[str]) -> str | None:
    """The application that the demo's tokens belong to: `planoorder`, otherwise the first."""
    known = list(slugs)
    return APPLICATION if APPLICATION in known else next(iter(known), None)


async def fill(
    connection: Connection,
    previous: Mapping[str, str],
    app: AppFolder | None = None,
    application: str | None = APPLICATION,
) -> dict[str, str]:
    """Fill a fresh database, renew the demo's tokens in any, and return the tokens by name.

    `previous` are the tokens of an earlier start, which the database has only as hashes. Without
    an `application` there are no tokens. Raises DemoError.
    """
    async with connection.transaction():
        if await connection.fetchval(_SQL["is_fresh"]):
            await connection.execute(_SQL["people"])
            await _run_script(connection, (app or AppFolder.find()).services / "demo.sql")
        await connection.execute(_SQL["passwords"], await Passwords().hash(PASSWORD))
        return await renew_tokens(connection, previous, application) if application else {}


async def other_namespaces(connection: Connection, own: Iterable[str]) -> list[str]:
    """The namespaces of the registry that the manifest does not have, sorted."""
    rows = await connection.fetch(_SQL["other_namespaces"], list(own))
    return [row["namespace"] for row in rows]


async def _run_script(connection: Connection, file: Path) -> None:
    script = await asyncio.to_thread(_read, file)
    if not script.strip():
        return
    try:
        await connection.execute(script)
    except asyncpg.PostgresError as error:
        raise DemoError(f"{file}: {error}") from error


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


async def renew_tokens(
    connection: Connection, previous: Mapping[str, str], slug: str
) -> dict[str, str]:
    """Make the demo's tokens valid in an application; return them by name.

    Those in `previous` are kept, and get the age that they should have.
    """
    application = previous.get("application") or tokens.make(tokens.APPLICATION_PREFIX)
    digest = tokens.digest(application)
    await connection.execute(_SQL["application_token"], slug, digest)
    renewed = {"application": application}
    for name, (email, age) in _SESSIONS.items():
        renewed[name] = previous.get(name) or tokens.make(tokens.SESSION_PREFIX)
        digest = tokens.digest(renewed[name])
        await connection.execute(_SQL["session"], email, slug, digest, age)
    return renewed
