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

_MADE: Mapping[str, Callable[[Caller, Session], Any]] = {
    "token": lambda caller, _: caller.token,
    "expires_at": lambda _, session: lifetime.ends_at(session),
}


def session(caller: Caller, view: str = "default") -> dict[str, Any] | None:
    """The caller's session in this view, or None where the caller has none."""
    found = caller.session
    if found is None:
        return None
    return {
        name: _MADE[name](caller, found) if name in _MADE else getattr(found, name)
        for name in SESSION_VIEWS[view]
    }


def application(caller: Caller, view: str = "default") -> dict[str, Any] | None:
    """The caller's application in this view, or None where the token belongs to a session."""
    found: Application | None = caller.application
    return found and {name: getattr(found, name) for name in APPLICATION_VIEWS[view]}


def shown(caller: Caller, session_view: str | None, application_view: str | None) -> dict[str, Any]:
    """What a caller sees of itself: the views it asked for, of what its token has."""
    parts = {
        "session": session_view and session(caller, session_view),
        "application": application_view and application(caller, application_view),
    }
    return {name: part for name, part in parts.items() if part}
