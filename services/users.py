"""Users: become a client, set preferences, change or reset the password."""

from asyncpg import Record

from gateway import (
    Call,
    Connection,
    Rejection,
    Reply,
    emails,
    load_queries,
    statuses,
    tokens,
    views,
)

from .clients import client_values, client_view, require_company
from .sign_in import chosen_view

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
    with call.identity.limits.guessing_own(call.address, session.user_id):
        stored = await _verified(call, session.user_id)
    hashed = await call.identity.passwords.hash(
        call.params["new_password"], address=call.address, deadline=call.deadline
    )
    args = session.user_id, hashed, stored, session.id

    async def work(db: Connection) -> Record | None:
        # Waits for log-ins in progress, so that their sessions are among those that end.
        await db.execute(_SQL["lock"], session.user_id)
        return await db.fetchrow(_SQL["update_password"], *args)

    row = await call.db.transaction(work)
    if row is None or not row["changed"]:
        raise Rejection("invalid-password", "Another request has just changed the password.")
    return Reply({"ended": row["ended"]})


async def update_preferences(call: Call) -> Reply:
    """Set whether the user's sessions, all of them, last until they are ended."""
    session = call.caller.session
    if session is None:
        raise Rejection(statuses.SESSION_REQUIRED)
    view = chosen_view(call)
    remember_me: bool = call.params["remember_me"]
    # The clock by which the calling session is live, so that it stays live.
    since = session.last_used_at
    await call.db.fetch(_SQL["remember"], session.user_id, remember_me, since)
    changed = session._replace(remember_me=remember_me)
    return Reply({"session": views.session(changed, call.caller.token or "", view)})


async def reset_password(call: Call) -> Reply:
    """Mail a password reset link to an address, if an active user has it.

    Neither the answer nor its timing tells whether the user exists: the same row is written for
    every address, and the mail is sent later.
    """
    link = call.settings.get("reset_url")
    if link is None:
        raise Rejection(
            statuses.SERVICE_NOT_FOUND, "The service has no page for password reset links."
        )
    email = emails.fold(call.params["email"])
    call.identity.limits.count_reset(call.address, email)
    template = call.settings.get("mail_template", "password-reset")
    args = email, template, link, call.route.name, call.request_id
    await call.db.fetchrow(_SQL["queue_reset"], *args)
    return Reply({})


async def confirm_reset(call: Call) -> Reply:
    """Set a new password by a password reset link's token, and end all sessions of the user."""
    token = tokens.digest(call.params["reset_token"])
    # Checked before the password is hashed, since hashing is expensive.
    async with call.identity.limits.guessing_token(call.address, call.deadline) as guess:
        found = await call.db.fetchrow(_SQL["reset"], token)
        guess.is_wrong = found is None
    if found is None:
        raise Rejection("invalid-reset-token")
    hashed = await call.identity.passwords.hash(
        call.params["password"], address=call.address, deadline=call.deadline
    )

    async def work(db: Connection) -> Record | None:
        # Waits for log-ins in progress, so that their sessions are among those that end.
        await db.execute(_SQL["lock"], found["user_id"])
        return await db.fetchrow(_SQL["confirm_reset"], token, hashed)

    row = await call.db.transaction(work)
    if row is None or not row["changed"]:
        raise Rejection("invalid-reset-token")
    return Reply({"ended": row["ended"]})


async def _verified(call: Call, user_id: int) -> str:
    """The hash of the current password, after checking the one in the params against it."""
    user = await call.db.fetchrow(_SQL["password"], user_id)
    if user is None or user["password_hash"] is None:
        raise Rejection("user-has-no-password")
    stored: str = user["password_hash"]
    if not await call.identity.passwords.verify(
        stored, call.params["password"], address=call.address, deadline=call.deadline
    ):
        raise Rejection("invalid-password")
    return stored
