"""Views: named lists of the fields of a session or an application that an answer shows."""

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
"""The params that choose a view, and the views there are."""

_MADE: Mapping[str, Callable[[Session, str], Any]] = {
    "token": lambda _, token: token,
    "expires_at": lambda session, _: lifetime.ends_at(session),
}


def session(found: Session, token: str, view: str = "default") -> dict[str, Any]:
    """A session in this view, with its token as it was presented or just issued."""
    return {
        name: _MADE[name](found, token) if name in _MADE else getattr(found, name)
        for name in SESSION_VIEWS[view]
    }


def application(found: Application, view: str = "default") -> dict[str, Any]:
    """An application in this view."""
    return {name: getattr(found, name) for name in APPLICATION_VIEWS[view]}


def shown(caller: Caller, session_view: str | None, application_view: str | None) -> dict[str, Any]:
    """What a caller sees of itself: the views it asked for, of what its token has."""
    parts: dict[str, Any] = {}
    if session_view and caller.session and caller.token:
        parts["session"] = session(caller.session, caller.token, session_view)
    if application_view and caller.application:
        parts["application"] = application(caller.application, application_view)
    return parts
