"""Clients: register a new user as a client."""

from collections.abc import Iterator, Mapping
from typing import Any

from asyncpg import Record

from gateway import Call, Rejection, Reply, emails, load_queries, statuses

from .sign_in import UNKNOWN_APPLICATION, SignIn

_SQL = load_queries(__file__)

_REQUIRED = ("email", "password", "first_name", "last_name")
MIN_PASSWORD_LENGTH = 8


async def register(call: Call) -> Reply:
    """Register a new user with a client record, and log it in to the application."""
    sign_in = SignIn(call)
    client = call.params["client"]
    errors = list(_validate(client))
    if errors:
        raise Rejection("client-validation-failed", errors=errors)
    application_id = await _application(call, client["email"])
    hashed = await call.identity.passwords.hash(
        client["password"], address=call.address, deadline=call.deadline
    )
    row = await call.db.fetchrow(_SQL["register"], client["email"], hashed, *client_values(call))
    if row is None:
        raise Rejection("email-already-registered")
    require_company(row)
    session = await sign_in.begin(row["user_id"], application_id, hashed)
    return Reply({"client": client_view(row), "session": session})


async def _application(call: Call, email: str) -> int:
    """The application's id. Checked before the password is hashed, since hashing is expensive."""
    row = await call.db.fetchrow(
        _SQL["application"], emails.fold(email), call.params["application"]
    )
    if row is None:
        raise Rejection(statuses.INVALID_PARAM, errors=[UNKNOWN_APPLICATION])
    if row["taken"]:
        raise Rejection("email-already-registered")
    application_id: int = row["id"]
    return application_id


def _validate(client: Mapping[str, Any]) -> Iterator[Any]:
    """An entry for each error."""
    for name in _REQUIRED:
        given = str(client.get(name, ""))
        if not (given if name == "password" else given.strip()):
            yield Rejection.error(f"client.{name}", "missing")
    if client.get("email", "").strip() and not emails.is_valid(client["email"]):
        yield Rejection.error("client.email", "is not a valid e-mail address")
    password = client.get("password", "")
    if password and not password.strip():
        yield Rejection.error("client.password", "must not be blank")
    elif 0 < len(password) < MIN_PASSWORD_LENGTH:
        message = f"must have at least {MIN_PASSWORD_LENGTH} characters"
        yield Rejection.error("client.password", message)


def client_values(call: Call) -> tuple[Any, ...]:
    """The values of a client record from the params, in the order of the statements' arguments."""
    client = call.params.get("client", {})
    names = ("first_name", "last_name", "phone", "company_id", "company_name")
    return (*map(client.get, names), call.params.get("enterprise", False))


def require_company(row: Record) -> None:
    """Raise Rejection (invalid-param) if the company is unknown; nothing was written then."""
    if not row["company"]:
        raise Rejection(
            statuses.INVALID_PARAM, errors=[Rejection.error("client.company_id", "unknown company")]
        )


def client_view(row: Record) -> dict[str, Any]:
    """A client record as answers contain it."""
    names = ("id", "user_id", "name", "phone", "company_id", "company_name", "enterprise")
    return {name: row[name] for name in names}
