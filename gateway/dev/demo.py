"""The demo data of `gateway dev`: fixed rows, and tokens that are kept in a file."""

from collections.abc import Mapping
from datetime import timedelta

from gateway.database.connect import Connection
from gateway.database.migrate import package_folder
from gateway.database.sql import load_queries
from gateway.identity import tokens
from gateway.identity.passwords import Passwords

_SQL = load_queries(__file__)

APPLICATION = "planoorder"
PASSWORD = "demo-password"  # noqa: S105 - of the demo, and documented
_NO_AGE = timedelta(0)
_SESSIONS = {
    "employee": ("employee@example.com", _NO_AGE),
    "client": ("client@example.com", _NO_AGE),
    "liaison": ("liaison@example.com", _NO_AGE),
    "nobody": ("nobody@example.com", _NO_AGE),
    "expired": ("employee@example.com", timedelta(days=8)),
}
"""Demo tokens that are sessions, by name: their user, and their age."""


async def fill(connection: Connection, previous: Mapping[str, str]) -> dict[str, str]:
    """Fill a fresh database, renew the demo's tokens in any, and return the tokens by name.

    `previous` are the tokens of an earlier start, which the database has only as hashes.
    """
    async with connection.transaction():
        if await connection.fetchval(_SQL["is_fresh"]):
            await connection.execute(_SQL["people"])
            for text in _service_scripts():
                await connection.execute(text)
        await connection.execute(_SQL["passwords"], await Passwords().hash(PASSWORD))
        return await _renew_tokens(connection, previous)


async def _renew_tokens(connection: Connection, previous: Mapping[str, str]) -> dict[str, str]:
    application = previous.get("application") or tokens.make(tokens.APPLICATION_PREFIX)
    digest = tokens.digest(application)
    await connection.execute(_SQL["application_token"], APPLICATION, digest)
    renewed = {"application": application}
    for name, (email, age) in _SESSIONS.items():
        renewed[name] = previous.get(name) or tokens.make(tokens.SESSION_PREFIX)
        digest = tokens.digest(renewed[name])
        await connection.execute(_SQL["session"], email, APPLICATION, digest, age)
    return renewed


def _service_scripts() -> list[str]:
    return [(package_folder("services") / "demo.sql").read_text(encoding="utf-8")]
