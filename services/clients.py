"""Clients: register as one."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from asyncpg import Record

from gateway import Call, Reject, Reply, load_queries
from services.sign_in import UNKNOWN_APPLICATION, SignIn

_SQL = load_queries(__file__)

# One @, a dot after it, no blanks: whether the address is real only a mail can tell.
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
_NEEDED = ("email", "password", "first_name", "last_name")
SHORTEST_PASSWORD = 8


async def register(call: Call) -> Reply:
    """A new user with a client record, logged in to the application."""
    sign_in = SignIn(call)
    client = call.params["client"]
    faults = list(_faults(client))
    if faults:
        raise Reject("client-validation-failed", errors=faults)
    application_id = await _application(call, client["email"])
    hashed = await call.passwords.hash(client["password"])
    row = await call.db.fetchrow(_SQL["register"], client["email"], hashed, *of_client(call))
    if row is None:
        raise Reject("email-already-registered")
    judge_company(row)
    session = await sign_in.begin(row["user_id"], application_id, hashed)
    return Reply({"client": shown(row), "session": session})


async def _application(call: Call, email: str) -> int:
    """The application's id, for an address that is free; known before a password is hashed."""
    row = await call.db.fetchrow(_SQL["application"], email, call.params["application"])
    if row is None:
        raise Reject("invalid-param", errors=[UNKNOWN_APPLICATION])
    if row["taken"]:
        raise Reject("email-already-registered")
    found: int = row["id"]
    return found


def _faults(client: Mapping[str, Any]) -> Iterator[Any]:
    for name in _NEEDED:
        if not str(client.get(name, "")).strip():
            yield Reject.error(f"client.{name}", "missing")
    if client.get("email", "").strip() and not _EMAIL.fullmatch(client["email"]):
        yield Reject.error("client.email", "is no e-mail address")
    if 0 < len(client.get("password", "")) < SHORTEST_PASSWORD:
        message = f"must have at least {SHORTEST_PASSWORD} characters"
        yield Reject.error("client.password", message)


def of_client(call: Call) -> tuple[Any, ...]:
    """What a client record takes from the params, in the order of the statements."""
    client = call.params.get("client", {})
    names = ("first_name", "last_name", "phone", "company_id", "company_name")
    return (*map(client.get, names), call.params.get("enterprise", False))


def judge_company(row: Record) -> None:
    """Raises Reject: invalid-param if the company is not there; then nothing was written."""
    if not row["company"]:
        raise Reject("invalid-param", errors=[Reject.error("client.company_id", "unknown company")])


def shown(row: Record) -> dict[str, Any]:
    """A client as answers show it."""
    names = ("id", "user_id", "name", "phone", "company_id", "company_name", "enterprise")
    return {name: row[name] for name in names}
