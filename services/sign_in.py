"""What every way in ends with: a session begins, and is shown."""

from typing import Any

from gateway import Call, Rejection, Session, load_queries, statuses, tokens, views

_SQL = load_queries(__file__)

UNKNOWN_APPLICATION = Rejection.error("application", "unknown application")


class SignIn:
    """One way in. Raises Rejection: invalid-param if the answer's view is unknown, before all else.

    A class, since every async function of a module of services is an action.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._view = chosen_view(call)

    async def begin(self, user_id: int, application_id: int, stored: str) -> dict[str, Any]:
        """Begin a session and show it; its token is shown this once.

        `stored` is the hash of the password that let the user in. The session that the same user
        had until now, if its token came with the request, ends. Raises Rejection: invalid-password
        if the password was changed meanwhile.
        """
        token = tokens.make(tokens.SESSION_PREFIX)
        given = self._call.caller.token
        before = tokens.digest(given) if given else None
        args = user_id, application_id, tokens.digest(token), self._call.address, before, stored
        made = await self._call.db.fetchrow(_SQL["begin"], *args)
        row = made and await self._call.db.fetchrow(_SQL["read"], made["id"])
        if row is None:
            raise Rejection("invalid-password", "The password was changed meanwhile.")
        return views.session(Session.of(row), token, self._view)


def chosen_view(call: Call) -> str:
    """The view of the session that the answer shows. Raises Rejection: invalid-param."""
    view: str = call.params.get("view", "default")
    if view not in views.SESSION_VIEWS:
        known = ", ".join(views.SESSION_VIEWS)
        raise Rejection(
            statuses.INVALID_PARAM, errors=[Rejection.error("view", f"must be one of {known}")]
        )
    return view
