"""Views: named lists of the fields of a session or an application that an answer contains."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.identity import lifetime
from gateway.values import Application, Caller, Session

SESSION_VIEWS: Mapping[str, tuple[str, ...]] = {
    "default": (
        *("id", "token", "user_id", "first_name", "last_name", "email", "application", "roles"),
        *("remember_me", "created_at", "last_used_at", "expires_at"),
    ),
}
APPLICATION_VIEWS: Mapping[str, tuple[str, ...]] = {
    "default": ("id", "slug", "name", "routes", "created_at"),
}

PARAMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "session_view": SESSION_VIEWS,
    "application_view": APPLICATION_VIEWS,
}
"""The params that choose a view, each with its views."""

_COMPUTED: Mapping[str, Callable[[Session, str], Any]] = {
    "token": lambda _, token: token,
    "expires_at": lambda session, _: lifetime.ends_at(session),
}
"""The fields of a session that are computed from the session and its token."""


def session(session: Session, token: str, view: str = "default") -> dict[str, Any]:
    """The fields of a session; `token` is its token, as the caller sent it or as just issued."""
    return {
        name: _COMPUTED[name](session, token) if name in _COMPUTED else getattr(session, name)
        for name in SESSION_VIEWS[view]
    }


def application(application: Application, view: str = "default") -> dict[str, Any]:
    """The fields of an application."""
    return {name: getattr(application, name) for name in APPLICATION_VIEWS[view]}


def requested(
    caller: Caller, session_view: str | None, application_view: str | None
) -> dict[str, Any]:
    """The views that a caller requested of its own session or application, by `session` and so on.

    A view of what the caller does not have is left out.
    """
    views: dict[str, Any] = {}
    if session_view and caller.session and caller.token:
        views["session"] = session(caller.session, caller.token, session_view)
    if application_view and caller.application:
        views["application"] = application(caller.application, application_view)
    return views
