"""The demo data of `gateway dev`: fixed rows, and tokens that are made once and kept in a file."""

from collections.abc import Mapping
from datetime import timedelta

from gateway.database.connect import Connection
from gateway.database.migrate import package_folder
from gateway.database.sql import load_queries
from gateway.identity import tokens
from gateway.identity.passwords import Passwords

_SQL = load_queries(__file__)

APPLICATION = "planoorder"
PASSWORD = "demo-password"  # noqa: S105 - everybody shall know it
_NO_AGE = timedelta(0)
_SESSIONS = {
    "employee": ("employee@example.com", _NO_AGE),
    "client": ("client@example.com", _NO_AGE),
    "liaison": ("liaison@example.com", _NO_AGE),
    "nobody": ("nobody@example.com", _NO_AGE),
    "expired": ("employee@example.com", timedelta(days=8)),
}
"""Demo tokens that are sessions: whose, and how old."""


async def fill(connection: Connection, known: Mapping[str, str]) -> dict[str, str]:
    """Fill a fresh database, renew the demo's tokens in any, and answer them by name.

    `known` are the tokens of the time before: the database has only their hashes.
    """
    async with connection.transaction():
        if await connection.fetchval(_SQL["is_fresh"]):
            await connection.execute(_SQL["people"])
            for text in files():
                await connection.execute(text)
        await connection.execute(_SQL["passwords"], await Passwords().hash(PASSWORD))
        return await _tokens(connection, known)


async def _tokens(connection: Connection, known: Mapping[str, str]) -> dict[str, str]:
    application = known.get("application") or tokens.make(tokens.APPLICATION_PREFIX)
    digest = tokens.digest(application)
    await connection.execute(_SQL["application_token"], APPLICATION, digest)
    made = {"application": application}
    for name, (email, age) in _SESSIONS.items():
        made[name] = known.get(name) or tokens.make(tokens.SESSION_PREFIX)
        digest = tokens.digest(made[name])
        await connection.execute(_SQL["session"], email, APPLICATION, digest, age)
    return made


def files() -> list[str]:
    """The demo rows that the services bring."""
    return [(package_folder("services") / "demo.sql").read_text(encoding="utf-8")]
