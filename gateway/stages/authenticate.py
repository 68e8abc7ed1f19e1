"""Authenticate: find the caller of a token, then check role and permission.

When several checks fail, the order of the catalogue of statuses decides the answer.
"""

import asyncio

from gateway import statuses
from gateway.identity import views
from gateway.identity.authenticator import Authenticator
from gateway.registry.records import Route
from gateway.registry.table import Match
from gateway.values import ANONYMOUS, Application, Caller, Params, Rejection, Request, Session

_NO_ROLES: frozenset[str] = frozenset()


async def authenticate(
    request: Request, params: Params, match: Match, identity: Authenticator
) -> Caller:
    """The caller, with its effective application and role.

    Raises Rejection: missing-param (the token alone), invalid-token, session-expired,
    client-required, session-required, invalid-param (the application alone), permission-denied,
    rate-limit-exceeded.
    """
    if params.is_large:
        await asyncio.sleep(0)
    route = match.route
    if not route.auth:
        caller = ANONYMOUS._replace(token=request.bearer)
    else:
        token = _token(request, params)
        principal = identity.store.remembered(token)
        if principal is None:
            deadline = request.received_at + route.timeout
            principal = await identity.look_up(token, request.address, deadline)
        if isinstance(principal, Application):
            caller = _application(token, principal, match, params)
        else:
            session = _use(principal, route, identity)
            if route.client_required and not session.roles:
                session = await _with_roles(session, token, params, identity)
            caller = _session(token, session, match, params)
    identity.limits.count_call(route, caller, request.address)
    return caller


def _token(request: Request, params: Params) -> str:
    """The token from the param or the header; if both are sent they must be equal."""
    token = params.values.get("token")
    bearer = request.bearer
    if token in (None, ""):
        token = bearer
    if token is None:
        missing = Rejection.error("token", "missing")
        raise Rejection(statuses.MISSING_PARAM, errors=[missing])
    if not isinstance(token, str) or bearer not in (None, token):
        raise Rejection(statuses.INVALID_TOKEN)
    return token


def _application(token: str, application: Application, match: Match, params: Params) -> Caller:
    route = match.route
    if "application" not in route.auth:
        raise Rejection(statuses.SESSION_REQUIRED)
    slug = _requested_slug(application.slug, match, params)
    may_call = slug == application.slug and any(_covers(name, route) for name in application.routes)
    if not may_call or (route.roles is not None and slug not in route.roles):
        raise Rejection(statuses.PERMISSION_DENIED)
    return Caller(token, None, application, slug, None)


def _covers(name: str, route: Route) -> bool:
    """Whether a name that a token lists covers the route: itself, `service.*` or `*`."""
    return name in ("*", route.name, f"{route.name.partition('.')[0]}.*")


def _use(session: Session, route: Route, identity: Authenticator) -> Session:
    """The session after this use. Raises Rejection: invalid-token, session-expired."""
    if "session" not in route.auth:
        raise Rejection(statuses.INVALID_TOKEN)
    used = identity.use(session)
    if used is None:
        raise Rejection(statuses.SESSION_EXPIRED)
    return used


async def _with_roles(
    session: Session, token: str, params: Params, identity: Authenticator
) -> Session:
    """The session of a user who had no role, read again.

    A user who has just registered must not be refused because of a cached session. Raises
    Rejection: client-required, invalid-token.
    """
    session = await identity.reload(session, token)
    if session.roles:
        return session
    view = _session_view(params)
    extra = {"session": views.session(session, token, view)}
    raise Rejection(statuses.CLIENT_REQUIRED, extra=extra)


def _session(token: str, session: Session, match: Match, params: Params) -> Caller:
    slug = _requested_slug(session.application, match, params)
    return Caller(token, session, None, slug, _role(session, slug, match))


def _session_view(params: Params) -> str:
    """The requested view; an unknown one is not refused this early."""
    view = params.values.get("session_view")
    return view if isinstance(view, str) and view in views.SESSION_VIEWS else "default"


def _requested_slug(own: str, match: Match, params: Params) -> str:
    """The application that the param names; without the param, the token's own.

    An unknown one is refused here and not in validate, since the application decides the role.
    Raises Rejection: invalid-param.
    """
    slug = params.values.get("application")
    if slug is None or slug == own or "application" not in match.route.params.shape.properties:
        return own
    if not isinstance(slug, str) or slug not in match.table.applications:
        unknown = Rejection.error("application", "unknown application")
        raise Rejection(statuses.INVALID_PARAM, errors=[unknown])
    return slug


def _role(session: Session, slug: str, match: Match) -> str | None:
    """The first role that the user has, the application lets in and the route accepts.

    A user without any role has None, on a route that has no list of roles. Raises Rejection:
    permission-denied.
    """
    accepted = session.roles if match.route.roles is None else match.route.roles.get(slug, ())
    application = match.table.applications.get(slug)
    let_in = application.roles if application else _NO_ROLES
    for role in accepted:
        if role in session.roles and role in let_in:
            return role
    if match.route.roles is None and not session.roles:
        return None
    raise Rejection(statuses.PERMISSION_DENIED)
