"""Verbs about users: create, list, show, grant, revoke, disable, enable, password."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from gateway.cli.database import with_database
from gateway.cli.options import WholeNumber, json_option
from gateway.cli.output import counted, echo, print_fields, print_rows
from gateway.database.connect import Connection
from gateway.identity import users
from gateway.identity.passwords import Passwords
from gateway.identity.users import Rights
from gateway.runtime.errors import OperatorError

COLUMNS = ("id", "email", "first_name", "last_name", "roles", "permissions", "state", "sessions")
MAX_LINE = 10_000

Function = TypeVar("Function", bound=Callable[..., Any])

email_argument = click.argument("email", metavar="EMAIL", help="E-mail address of the user.")


def rights_options(function: Function) -> Function:
    """The options `--role` and `--permission`, each any number of times."""
    permission = click.option(
        "--permission",
        "permissions",
        multiple=True,
        metavar="PERMISSION",
        help="A permission such as `ops` or `ops:act`; may be given several times.",
    )
    role = click.option(
        "--role",
        "roles",
        multiple=True,
        metavar="ROLE",
        help=f"{', '.join(users.ROLES)}; may be given several times.",
    )
    return role(permission(function))


@click.command
@email_argument
@click.option("--first-name", required=True, help="First name.")
@click.option("--last-name", required=True, help="Last name.")
@rights_options
def create_user(
    email: str,
    *,
    first_name: str,
    last_name: str,
    roles: tuple[str, ...],
    permissions: tuple[str, ...],
) -> None:
    """Create a user without a password, with roles and permissions.

    `gateway user password` sets the password, or mails a link with which the user sets it. With the
    role client, the client record gets the name of the user.

    Example: `gateway user create a@example.com --first-name Ada --last-name Fields --role liaison`
    """
    rights = Rights(roles, permissions)
    user_id = with_database(
        lambda connection: users.create(connection, email, first_name, last_name, rights)
    )
    words = _described(rights)
    echo(f"created user {user_id}, {email}" + (f", with {words}" if words else ""))


@click.command
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="Maximum number to list.",
)
@click.option("--after", type=WholeNumber(0), default=0, help="List the users after this id.")
@json_option
def list_users(*, limit: int, after: int, as_json: bool) -> None:
    """List users by id, with roles, permissions, state and the number of live sessions.

    Example: `gateway user list --limit 100 --after 100`
    """
    rows = with_database(lambda connection: users.list_page(connection, limit, after))
    print_rows(COLUMNS, rows, as_json=as_json)


@click.command
@email_argument
@json_option
def show_user(email: str, *, as_json: bool) -> None:
    """Show a user: roles, permissions, live sessions, and since when it is disabled.

    Example: `gateway user show ada@example.com`
    """
    print_fields(with_database(lambda connection: users.show(connection, email)), as_json=as_json)


@click.command
@email_argument
@rights_options
def grant(email: str, *, roles: tuple[str, ...], permissions: tuple[str, ...]) -> None:
    """Grant roles and permissions; running workers learn of it at once.

    All or none: if the user has one of them already, nothing changes, and the exit code is 1.

    Example: `gateway user grant ada@example.com --role employee --permission ops`
    """
    rights = Rights(roles, permissions)
    with_database(lambda connection: users.grant(connection, email, rights))
    echo(f"granted {_described(rights)} to {email}")


@click.command
@email_argument
@rights_options
def revoke(email: str, *, roles: tuple[str, ...], permissions: tuple[str, ...]) -> None:
    """Revoke roles and permissions; running workers learn of it at once.

    A client's record stays, without its user, since orders may refer to it. Granting the role
    again creates another record. All or none: if the user does not have one of them, nothing
    changes, and the exit code is 1.

    Example: `gateway user revoke ada@example.com --permission ops`
    """
    rights = Rights(roles, permissions)
    with_database(lambda connection: users.revoke(connection, email, rights))
    echo(f"revoked {_described(rights)} from {email}")


@click.command
@email_argument
def disable(email: str) -> None:
    """Disable a user: refuse log-ins, and end all sessions in all workers at once.

    The exit code is 1 if the user is disabled already.

    Example: `gateway user disable ada@example.com`
    """
    ended = with_database(lambda connection: users.disable(connection, email))
    echo(f"disabled {email}; ended {counted(ended, 'session')}")


@click.command
@email_argument
def enable(email: str) -> None:
    """Let a disabled user log in again; sessions that were ended stay ended.

    The exit code is 1 if the user is not disabled.

    Example: `gateway user enable ada@example.com`
    """
    with_database(lambda connection: users.enable(connection, email))
    echo(f"enabled {email}")


@click.command
@email_argument
@click.option(
    "--mail-link",
    is_flag=True,
    help="Mail a password reset link instead, with which the user sets the password.",
)
def set_password(email: str, *, mail_link: bool) -> None:
    """Set a user's password and end the user's sessions, or mail a password reset link.

    The password is asked for twice; if standard input is not a terminal, it is read from there.
    It is never an argument, since other users of the machine can read those.

    Example: `gateway user password ada@example.com`
    """
    if mail_link:
        message_id = with_database(lambda connection: users.mail_link(connection, email))
        echo(f"queued message {message_id} to {email}; a running gateway sends it")
        return
    # Checked before the operator types a password.
    with_database(lambda connection: users.show(connection, email))
    password = _read_password()
    users.check_password(password)

    async def work(connection: Connection) -> int:
        return await users.set_password(connection, email, await _hash(password))

    echo(f"set the password of {email}; ended {counted(with_database(work), 'session')}")


def _read_password() -> str:
    """The password, typed twice and not shown, or the first line of standard input.

    Raises OperatorError if the line is not UTF-8.
    """
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    try:
        return sys.stdin.buffer.readline(MAX_LINE).rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        # Not chained: the error quotes the password.
        raise OperatorError("the password is not UTF-8 text") from None


async def _hash(password: str) -> str:
    passwords = Passwords()
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


def _described(rights: Rights) -> str:
    """The roles and permissions in words; empty if there are none."""
    words = [f"the role {role}" for role in rights.roles]
    words += [f"the permission {permission}" for permission in rights.permissions]
    return " and ".join(words)
