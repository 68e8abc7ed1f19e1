"""Sessions: log in, look at them, log out."""

from datetime import UTC, datetime
from typing import Any

from asyncpg import Record

from gateway import Call, Rejection, Reply, Session, lifetime, load_queries, statuses, views
from services.sign_in import UNKNOWN_APPLICATION, SignIn, chosen_view

_SQL = load_queries(__file__)

_LISTED = ("id", "application", "address", "created_at", "last_used_at")


async def create(call: Call) -> Reply:
    """Log in with a password: a session of its own for each log-in.

    The session whose token came as `Authorization: Bearer` ends, if it is of the same user. A
    user without any role gets a session too, beside `client-required`.
    """
    sign_in = SignIn(call)
    with call.identity.limits.guessing(call.address, call.params["email"]):
        user = await _user(call)
    if user["roles"] and not user["may_enter"]:
        raise Rejection("user-requires-role")
    session = await sign_in.begin(user["id"], user["application_id"], user["password_hash"])
    await _renew(call, user)
    if not user["roles"]:
        raise Rejection(statuses.CLIENT_REQUIRED, extra={"session": session})
    passed = {name: call.params[name] for name in ("redirect_url",) if name in call.params}
    return Reply({"session": session, **passed})


async def _user(call: Call) -> Record:
    """The user with this address and this password."""
    email, password = call.params["email"], call.params["password"]
    found = await call.db.fetchrow(_SQL["user"], email, call.params["application"])
    if found is None:
        raise Rejection(statuses.INVALID_PARAM, errors=[UNKNOWN_APPLICATION])
    if found["id"] is None:
        raise Rejection("email-not-found")
    if found["password_hash"] is None:
        raise Rejection("user-has-no-password")
    if not await call.identity.passwords.verify(found["password_hash"], password):
        raise Rejection("invalid-password")
    return found


async def _renew(call: Call, user: Record) -> None:
    """Store the password with the parameters of today, if it is not."""
    stored = user["password_hash"]
    if call.identity.passwords.is_outdated(stored):
        hashed = await call.identity.passwords.hash(call.params["password"])
        await call.db.fetchrow(_SQL["rehash"], user["id"], hashed, stored)


async def read(call: Call) -> Reply:
    """The session that calls."""
    session, token = call.caller.session, call.caller.token
    if session is None or token is None:
        raise Rejection(statuses.SESSION_REQUIRED)
    return Reply({"session": views.session(session, token, chosen_view(call))})


async def index(call: Call) -> Reply:
    """The user's sessions that are not over, the one used last first; none shows a token."""
    rows = await call.db.fetch(_SQL["index"], call.caller.user_id)
    now, own = datetime.now(UTC), call.caller.session
    # The use that calls is written behind.
    known = [own if own and row["id"] == own.id else Session.of(row) for row in rows]
    live = [session for session in known if not lifetime.is_over(session, now)]
    live.sort(key=lambda session: session.last_used_at, reverse=True)
    return Reply({"sessions": [_listed(session, call) for session in live]})


def _listed(session: Session, call: Call) -> dict[str, Any]:
    return {
        **{name: getattr(session, name) for name in _LISTED},
        "expires_at": lifetime.ends_at(session),
        "current": call.caller.session is not None and session.id == call.caller.session.id,
    }


async def delete(call: Call) -> Reply:
    """Log out: this session, the one of an id, or with `all` every session of the user."""
    current = call.caller.session.id if call.caller.session else None
    chosen = call.params.get("id", current)
    everything = call.params.get("all", False)
    rows = await call.db.fetch(_SQL["end"], call.caller.user_id, chosen, everything)
    if not rows and "id" in call.params:
        raise Rejection(statuses.INVALID_PARAM, errors=[Rejection.error("id", "unknown session")])
    return Reply({"ended": len(rows)})
