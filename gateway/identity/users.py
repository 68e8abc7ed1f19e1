"""Create, list and change users: the functions behind `gateway user`.

The tables' triggers tell the workers of every change, also of one that is made by hand.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asyncpg import Record

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.identity import emails, lifetime, one_line, resets
from gateway.runtime.errors import OperatorError
from gateway.runtime.suggest import did_you_mean

ROLES = ("client", "employee", "liaison")
MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 255
MAX_NAME_LENGTH = 255

_SQL = load_queries(Path(__file__).with_name("accounts.sql"))
_PERMISSION = re.compile(r"(?=.{1,63}\Z)[a-z][a-z0-9_-]*(?::[a-z][a-z0-9_-]*)*", re.ASCII)
_AGES = lifetime.MAX_AGE, lifetime.MAX_IDLE


class UserError(OperatorError):
    """A user cannot be created, shown or changed; the text says why."""


class Rights(NamedTuple):
    """Roles and permissions to grant or to revoke."""

    roles: Sequence[str] = ()
    permissions: Sequence[str] = ()

    def check(self) -> None:
        """Raise UserError for an unknown role, or for an invalid name of a permission."""
        for role in self.roles:
            if role not in ROLES:
                known = ", ".join(ROLES)
                raise UserError(
                    f"unknown role {role!r}{did_you_mean(role, ROLES)}; the roles are {known}"
                )
        for permission in self.permissions:
            if not _PERMISSION.fullmatch(permission):
                raise UserError(
                    f"invalid permission {permission!r}: use lower-case words such as `ops` or "
                    "`ops:act`"
                )


async def create(
    connection: Connection, email: str, first_name: str, last_name: str, rights: Rights
) -> int:
    """Create a user without a password; return the id. Raises UserError."""
    rights.check()
    if not emails.is_valid(email):
        raise UserError(f"{email!r} is not a valid e-mail address")
    for name in (first_name, last_name):
        if not 0 < len(name.strip()) <= MAX_NAME_LENGTH:
            raise UserError(f"a name must have 1 to {MAX_NAME_LENGTH} characters")
        if not one_line.is_one_line(name):
            raise UserError(f"a name {one_line.MESSAGE}")
    async with connection.transaction():
        names = first_name.strip(), last_name.strip()
        user_id: int | None = await connection.fetchval(_SQL["create_user"], email, *names)
        if user_id is None:
            raise UserError(f"the address {email} is taken: `gateway user show {email}`")
        await _change(connection, user_id, "grant", rights)
    return user_id


async def list_page(connection: Connection, limit: int, after: int) -> list[Record]:
    """Users by id, at most `limit` of those whose id is above `after`."""
    rows: list[Record] = await connection.fetch(_SQL["users"], after, limit, None, *_AGES)
    return rows


async def show(connection: Connection, email: str) -> Record:
    """One user, with roles, permissions and the number of live sessions. Raises UserError."""
    row = await connection.fetchrow(_SQL["users"], 0, 1, emails.fold(email), *_AGES)
    if row is None:
        raise unknown(email)
    return row


async def grant(connection: Connection, email: str, rights: Rights) -> None:
    """Give a user roles and permissions, all or none.

    Raises UserError, also if the user has one of them already.
    """
    await _find_and_change(connection, email, "grant", rights)


async def revoke(connection: Connection, email: str, rights: Rights) -> None:
    """Take roles and permissions from a user, all or none.

    A client record stays, without its user, since orders may refer to it. Raises UserError, also if
    the user does not have one of them.
    """
    await _find_and_change(connection, email, "revoke", rights)


async def disable(connection: Connection, email: str) -> int:
    """Refuse a user's log-ins and end all sessions; return how many.

    Raises UserError, also if the user is disabled already.
    """
    user_id = await _user_id(connection, email)
    async with connection.transaction():
        # Waits for log-ins in progress, so that their sessions are among those that end.
        await connection.execute(_SQL["lock_user"], user_id)
        ended: int | None = await connection.fetchval(_SQL["disable"], user_id)
    if ended is None:
        raise UserError(f"{email} is already disabled")
    return ended


async def enable(connection: Connection, email: str) -> None:
    """Let a disabled user log in again. Raises UserError, also if the user is not disabled."""
    user_id = await _user_id(connection, email)
    if await connection.fetchval(_SQL["enable"], user_id) is None:
        raise UserError(f"{email} is not disabled")


async def set_password(connection: Connection, email: str, hashed: str) -> int:
    """Store the hash of a new password and end all sessions; return how many. Raises UserError."""
    user_id = await _user_id(connection, email)
    async with connection.transaction():
        await connection.execute(_SQL["lock_user"], user_id)
        return len(await connection.fetch(_SQL["set_password"], user_id, hashed))


def check_password(password: str) -> None:
    """Raise UserError if a password is too short, too long, or blank."""
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise UserError(
            f"a password must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters"
        )
    if not password.strip():
        raise UserError("a password must not be blank")


async def mail_link(connection: Connection, email: str) -> int:
    """Queue a mail with a password reset link; return the message's id. Raises UserError."""
    user = await show(connection, email)
    if user["disabled_at"] is not None:
        raise UserError(f"{email} is disabled: `gateway user enable {email}` first")
    settings: Mapping[str, Any] = await connection.fetchval(_SQL["users_settings"]) or {}
    if "reset_url" not in settings:
        raise UserError(
            "no page is set for password reset links: set `reset_url` in the settings of the "
            "service `users` in the manifest, and apply it"
        )
    template = settings.get("mail_template", resets.DEFAULT_TEMPLATE)
    message_id: int = await connection.fetchval(
        _SQL["queue_reset"], emails.fold(email), template, settings["reset_url"]
    )
    return message_id


async def _find_and_change(connection: Connection, email: str, verb: str, rights: Rights) -> None:
    rights.check()
    if not any(rights):
        raise UserError("name what to change: --role, --permission, or both")
    user_id = await _user_id(connection, email)
    async with connection.transaction():
        [held] = await connection.fetch(_SQL["rights"], user_id)
        _require_change(email, verb, rights, Rights(held["roles"], held["permissions"]))
        await _change(connection, user_id, verb, rights)


def _require_change(email: str, verb: str, rights: Rights, held: Rights) -> None:
    """Raise UserError for the first of the rights that the user has, or does not have, already."""
    nouns = ("role", rights.roles, held.roles), ("permission", rights.permissions, held.permissions)
    for noun, names, held_names in nouns:
        for name in names:
            if verb == "grant" and name in held_names:
                raise UserError(f"{email} already has the {noun} {name}")
            if verb == "revoke" and name not in held_names:
                raise UserError(f"{email} has no {noun} {name}")


async def _change(connection: Connection, user_id: int, verb: str, rights: Rights) -> None:
    for role in rights.roles:
        await connection.execute(_SQL[f"{verb}_{role}"], user_id)
    if rights.permissions:
        given, taken = (rights.permissions, ()) if verb == "grant" else ((), rights.permissions)
        await connection.execute(_SQL["set_permissions"], user_id, [*given], [*taken])


async def _user_id(connection: Connection, email: str) -> int:
    user_id: int | None = await connection.fetchval(_SQL["user_id"], emails.fold(email))
    if user_id is None:
        raise unknown(email)
    return user_id


def unknown(email: str) -> UserError:
    """The error for an address that no user has."""
    return UserError(f"unknown user {email!r}; `gateway user list` lists the users")
