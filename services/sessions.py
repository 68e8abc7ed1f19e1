"""Sessions: log in, show and list sessions, log out."""

from collections.abc import Iterable, Mapping
from typing import Any

from asyncpg import Record

from gateway import Call, Rejection, Reply, Session, emails, lifetime, load_queries, statuses, views

from .sign_in import UNKNOWN_APPLICATION, SignIn, chosen_view

_SQL = load_queries(__file__)

PAGE_SIZE = 50
MAX_LISTED = 2000
"""Sessions that are listed, the latest of a user; more than one user has in earnest."""

_LIST_FIELDS = ("id", "application", "address", "created_at", "last_used_at")


async def create(call: Call) -> Reply:
    """Log in with a password; each log-in has a session of its own.

    Ends the session whose token came as `Authorization: Bearer`, if it is the same user's. A user
    without any role gets a session as well, in the answer `client-required`.
    """
    sign_in = SignIn(call)
    email = emails.fold(call.params["email"])

    async def known_addresses() -> Iterable[str]:
        rows = await call.db.fetch(_SQL["known_addresses"], email)
        return [row["address"] for row in rows]

    async with call.identity.limits.guessing(call.address, email, known_addresses):
        user = await _verified_user(call, email)
    if user["roles"] and not user["may_enter"]:
        raise Rejection("user-requires-role")
    session = await sign_in.begin(user["id"], user["application_id"], user["password_hash"])
    await _rehash(call, user)
    if not user["roles"]:
        raise Rejection(statuses.CLIENT_REQUIRED, extra={"session": session})
    returned = {name: call.params[name] for name in ("redirect_url",) if name in call.params}
    return Reply({"session": session, **returned})


async def _verified_user(call: Call, email: str) -> Record:
    """The user with this folded e-mail address and the password of the params."""
    password = call.params["password"]
    user = await call.db.fetchrow(_SQL["user"], email, call.params["application"])
    if user is None:
        raise Rejection(statuses.INVALID_PARAM, errors=[UNKNOWN_APPLICATION])
    if user["id"] is None:
        raise Rejection("email-not-found")
    if user["password_hash"] is None:
        raise Rejection("user-has-no-password")
    if not await call.identity.passwords.verify(
        user["password_hash"], password, address=call.address, deadline=call.deadline
    ):
        raise Rejection("invalid-password")
    if user["disabled"]:
        raise Rejection(statuses.PERMISSION_DENIED, "The account is disabled.")
    return user


async def _rehash(call: Call, user: Record) -> None:
    """Hash the password again if its hash has outdated parameters."""
    stored = user["password_hash"]
    if call.identity.passwords.is_outdated(stored):
        hashed = await call.identity.passwords.hash(
            call.params["password"], address=call.address, deadline=call.deadline
        )
        await call.db.fetchrow(_SQL["rehash"], user["id"], hashed, stored)


async def read(call: Call) -> Reply:
    """Show the calling session."""
    session, token = call.caller.session, call.caller.token
    if session is None or token is None:
        raise Rejection(statuses.SESSION_REQUIRED)
    return Reply({"session": views.session(session, token, chosen_view(call))})


async def index(call: Call) -> Reply:
    """List the user's live sessions without their tokens, most recently used first, in pages.

    At most the `MAX_LISTED` that began last, and the calling one.
    """
    own = call.caller.session
    if own is None:
        raise Rejection(statuses.SESSION_REQUIRED)
    live = own.user_id, own.id, lifetime.MAX_AGE, lifetime.MAX_IDLE
    rows = await call.db.fetch(_SQL["index"], *live, *_limit_and_offset(call.params), MAX_LISTED)
    # The row of the calling session is older: its use by this call is written later.
    sessions = [own if row["id"] == own.id else Session.of(row) for row in rows]
    data: dict[str, Any] = {"sessions": [_list_view(session, own) for session in sessions]}
    if call.params.get("count"):
        counted = await call.db.fetchrow(_SQL["count"], *live, MAX_LISTED)
        data["count"] = counted["count"] if counted else 0
    return Reply(data)


def _limit_and_offset(params: Mapping[str, Any]) -> tuple[int, int]:
    page = params.get("page", {})
    size = page.get("size", PAGE_SIZE)
    # A page beyond the range of PostgreSQL's bigint is empty, like any page after the last.
    return size, min(size * (page.get("number", 1) - 1), 2**62)


def _list_view(session: Session, own: Session) -> dict[str, Any]:
    return {
        **{name: getattr(session, name) for name in _LIST_FIELDS},
        "expires_at": lifetime.ends_at(session),
        "current": session.id == own.id,
    }


async def delete(call: Call) -> Reply:
    """End the calling session, the one with `id`, or with `all` every session of the user."""
    current = call.caller.session.id if call.caller.session else None
    session_id = call.params.get("id", current)
    all_sessions = call.params.get("all", False)
    rows = await call.db.fetch(_SQL["end"], call.caller.user_id, session_id, all_sessions)
    if not rows and "id" in call.params:
        raise Rejection(statuses.INVALID_PARAM, errors=[Rejection.error("id", "unknown session")])
    return Reply({"ended": len(rows)})
