"""Clients: register as one."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from asyncpg import Record

from gateway import Call, Rejection, Reply, load_queries, statuses
from services.sign_in import UNKNOWN_APPLICATION, SignIn

_SQL = load_queries(__file__)

# One @, a dot after it, no blanks: whether the address is real only a mail can tell.
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
_NEEDED = ("email", "password", "first_name", "last_name")
MIN_PASSWORD_LENGTH = 8


async def register(call: Call) -> Reply:
    """A new user with a client record, logged in to the application."""
    sign_in = SignIn(call)
    client = call.params["client"]
    faults = list(_faults(client))
    if faults:
        raise Rejection("client-validation-failed", errors=faults)
    application_id = await _application(call, client["email"])
    hashed = await call.identity.passwords.hash(client["password"])
    row = await call.db.fetchrow(_SQL["register"], client["email"], hashed, *of_client(call))
    if row is None:
        raise Rejection("email-already-registered")
    judge_company(row)
    session = await sign_in.begin(row["user_id"], application_id, hashed)
    return Reply({"client": shown(row), "session": session})


async def _application(call: Call, email: str) -> int:
    """The application's id, for an address that is free; known before a password is hashed."""
    row = await call.db.fetchrow(_SQL["application"], email, call.params["application"])
    if row is None:
        raise Rejection(statuses.INVALID_PARAM, errors=[UNKNOWN_APPLICATION])
    if row["taken"]:
        raise Rejection("email-already-registered")
    found: int = row["id"]
    return found


def _faults(client: Mapping[str, Any]) -> Iterator[Any]:
    for name in _NEEDED:
        if not str(client.get(name, "")).strip():
            yield Rejection.error(f"client.{name}", "missing")
    if client.get("email", "").strip() and not _EMAIL.fullmatch(client["email"]):
        yield Rejection.error("client.email", "is no e-mail address")
    if 0 < len(client.get("password", "")) < MIN_PASSWORD_LENGTH:
        message = f"must have at least {MIN_PASSWORD_LENGTH} characters"
        yield Rejection.error("client.password", message)


def of_client(call: Call) -> tuple[Any, ...]:
    """What a client record takes from the params, in the order of the statements."""
    client = call.params.get("client", {})
    names = ("first_name", "last_name", "phone", "company_id", "company_name")
    return (*map(client.get, names), call.params.get("enterprise", False))


def judge_company(row: Record) -> None:
    """Raises Rejection: invalid-param if the company is not there; then nothing was written."""
    if not row["company"]:
        raise Rejection(
            statuses.INVALID_PARAM, errors=[Rejection.error("client.company_id", "unknown company")]
        )


def shown(row: Record) -> dict[str, Any]:
    """A client as answers show it."""
    names = ("id", "user_id", "name", "phone", "company_id", "company_name", "enterprise")
    return {name: row[name] for name in names}
