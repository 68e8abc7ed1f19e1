"""Beginning a session, the last step of logging in and of registering."""

from typing import Any

from gateway import Call, Rejection, Session, load_queries, statuses, tokens, views

_SQL = load_queries(__file__)

UNKNOWN_APPLICATION = Rejection.error("application", "unknown application")


class SignIn:
    """A log-in in progress. Raises Rejection (invalid-param) if the answer's view is unknown.

    A class, since every public async function in a module of services is an action.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._view = chosen_view(call)

    async def begin(self, user_id: int, application_id: int, stored: str) -> dict[str, Any]:
        """Begin a session; its view is the only place that shows the new token.

        `stored` is the password hash that the log-in was checked against. If the request came with
        the token of another session of the user, that session ends. Raises Rejection
        (invalid-password) if the password was changed, or the user disabled, in the meantime.
        """
        token = tokens.make(tokens.SESSION_PREFIX)
        current = self._call.caller.token
        replaced = tokens.digest(current) if current else None
        args = user_id, application_id, tokens.digest(token), self._call.address, replaced, stored
        most = self._call.identity.max_sessions
        begun = await self._call.db.fetchrow(_SQL["begin"], *args, most)
        row = begun and await self._call.db.fetchrow(_SQL["read"], begun["id"])
        if row is None:
            raise Rejection("invalid-password", "Another request has just changed the password.")
        return views.session(Session.of(row), token, self._view)


def chosen_view(call: Call) -> str:
    """The name of the session view to answer with. Raises Rejection: invalid-param."""
    view: str = call.params.get("view", "default")
    if view not in views.SESSION_VIEWS:
        message = f"must be {' or '.join(views.SESSION_VIEWS)}"
        raise Rejection(statuses.INVALID_PARAM, errors=[Rejection.error("view", message)])
    return view
