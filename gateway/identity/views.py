"""Views: named lists of the fields of a session or an application that an answer contains."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.identity import lifetime
from gateway.registry.records import ApplicationRecord
from gateway.values import Application, Caller, Session

SESSION_VIEWS: Mapping[str, tuple[str, ...]] = {
    "default": (
        *("id", "token", "user_id", "first_name", "last_name", "email", "application", "roles"),
        *("remember_me", "created_at", "last_used_at", "expires_at"),
    ),
}
APPLICATION_VIEWS: Mapping[str, tuple[str, ...]] = {
    "default": ("id", "slug", "name", "roles", "routes", "created_at"),
}
"""For a session there is no `id`, `routes` or `created_at`, which belong to an application's token.
`roles` are those of the users that the application lets in."""

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


def application(
    record: ApplicationRecord, token_application: Application | None, view: str = "default"
) -> dict[str, Any]:
    """The fields of an application; `token_application` is the one whose token the caller sent."""
    fields: dict[str, Any] = {
        "slug": record.slug,
        "name": record.title,
        "roles": sorted(record.roles),
    }
    if token_application:
        own = ("id", "routes", "created_at")
        fields |= {name: getattr(token_application, name) for name in own}
    return {name: fields[name] for name in APPLICATION_VIEWS[view] if name in fields}


def requested(
    caller: Caller,
    applications: Mapping[str, ApplicationRecord],
    session_view: str | None,
    application_view: str | None,
) -> dict[str, Any]:
    """The views of its session and of its effective application that a caller requested.

    A view is left out if the caller has no session or no application. `applications` are those of
    the registry.
    """
    views: dict[str, Any] = {}
    if session_view and caller.session and caller.token:
        views["session"] = session(caller.session, caller.token, session_view)
    record = applications.get(caller.application_slug or "")
    if application_view and record:
        views["application"] = application(record, caller.application, application_view)
    return views
