"""Users: register a signed-in user as a client, change the password."""

from asyncpg import Record

from gateway import Call, Connection, Rejection, Reply, load_queries, statuses, views
from services.clients import client_values, client_view, require_company

_SQL = load_queries(__file__)


async def client_register(call: Call) -> Reply:
    """Register the calling user as a client; resolves `client-required`."""
    session = call.caller.session
    if session is None:
        raise Rejection(statuses.SESSION_REQUIRED)
    _, _, *values = client_values(call)
    row = await call.db.fetchrow(_SQL["client_register"], session.user_id, *values)
    if row is None:
        raise Rejection("client-validation-failed", "The user is already a client.")
    require_company(row)
    roles = ("client", *(role for role in session.roles if role != "client"))
    current = views.session(session._replace(roles=roles), call.caller.token or "")
    return Reply({"client": client_view(row), "session": current})


async def update_password(call: Call) -> Reply:
    """Set a new password, and end the user's other sessions."""
    session = call.caller.session
    if session is None:
        raise Rejection(statuses.SESSION_REQUIRED)
    with call.identity.limits.guessing(call.address, session.email):
        stored = await _verified(call, session.user_id)
    hashed = await call.identity.passwords.hash(call.params["new_password"])
    args = session.user_id, hashed, stored, session.id

    async def work(db: Connection) -> Record | None:
        # Waits for log-ins in progress, so that their sessions are among those that end.
        await db.execute(_SQL["lock"], session.user_id)
        return await db.fetchrow(_SQL["update_password"], *args)

    row = await call.db.transaction(work)
    if row is None or not row["changed"]:
        raise Rejection("invalid-password", "Another request has just changed the password.")
    return Reply({"ended": row["ended"]})


async def _verified(call: Call, user_id: int) -> str:
    """The hash of the current password, after checking the one in the params against it."""
    user = await call.db.fetchrow(_SQL["password"], user_id)
    if user is None or user["password_hash"] is None:
        raise Rejection("user-has-no-password")
    stored: str = user["password_hash"]
    if not await call.identity.passwords.verify(stored, call.params["password"]):
        raise Rejection("invalid-password")
    return stored
