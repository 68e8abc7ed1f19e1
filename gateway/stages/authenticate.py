"""Authenticate: token to caller, then role and permission, in the order of the catalogue."""

from typing import Any

from gateway.identity import lifetime, views
from gateway.identity.authenticator import Guard
from gateway.identity.token_store import Holder, Lookup
from gateway.registry.records import Route
from gateway.registry.table import Match
from gateway.values import ANONYMOUS, Application, Caller, Params, Reject, Request, Session


async def authenticate(request: Request, params: Params, match: Match, guard: Guard) -> Caller:
    """Who calls, as whom.

    Raises Reject: missing-param (the token alone), invalid-token, session-expired,
    client-required, session-required, invalid-param (the application alone), permission-denied,
    rate-limit-exceeded.
    """
    route = match.route
    if not route.auth:
        caller = ANONYMOUS._replace(token=request.bearer)
    else:
        token = _token(request, params)
        holder = guard.lookup.remembered(token) or await _look_up(token, request, guard)
        if isinstance(holder, Application):
            caller = await _application(token, holder, route, params, guard.lookup)
        else:
            caller = await _session(token, holder, route, params, guard.lookup)
    guard.limits.call(route, caller, request.address)
    return caller


async def _look_up(token: str, request: Request, guard: Guard) -> Holder:
    """The holder of a token, for an address that does not guess. Raises Reject."""
    is_guess = guard.lookup.is_guess(token)
    if is_guess:
        guard.limits.before_look_up(request.address)
    holder = await guard.lookup.find(token)
    if holder is None and is_guess:
        guard.limits.was_unknown(request.address)
    if holder is None:
        raise Reject("invalid-token")
    return holder


def _token(request: Request, params: Params) -> str:
    """The token, from the param or the header; both are fine if they are the same."""
    given = params.values.get("token")
    bearer = request.bearer
    if given in (None, ""):
        given = bearer
    if given is None:
        raise Reject("missing-param", errors=[Reject.error("token", "missing")])
    if not isinstance(given, str) or bearer not in (None, given):
        raise Reject("invalid-token")
    return given


async def _application(
    token: str, holder: Application, route: Route, params: Params, lookup: Lookup
) -> Caller:
    if "application" not in route.auth:
        raise Reject("session-required")
    slug = _named_slug(holder.slug, route, params)
    if slug != holder.slug:
        await _refuse_unknown(slug, lookup)
    may_call = slug == holder.slug and any(_covers(name, route) for name in holder.routes)
    if not may_call or (route.roles is not None and slug not in route.roles):
        raise Reject("permission-denied")
    return Caller(token, None, holder, slug, None)


def _covers(name: str, route: Route) -> bool:
    """Whether a name that a token lists covers the route: itself, `service.*` or `*`."""
    return name in ("*", route.name, f"{route.name.partition('.')[0]}.*")


async def _session(
    token: str, holder: Session, route: Route, params: Params, lookup: Lookup
) -> Caller:
    if "session" not in route.auth:
        raise Reject("invalid-token")
    now = lookup.now()
    if lifetime.is_over(holder, now) and lifetime.is_over(lookup.latest(holder), now):
        raise Reject("session-expired")
    lookup.used(holder, now)
    holder = holder.used_at(now)
    if route.client_required and not holder.roles:
        # Who has just registered must not be refused from memory while the database can be asked.
        holder = await _look_up_again(token, holder, lookup)
        if not holder.roles:
            raise Reject("client-required", extra={"session": _shown(holder, token, params)})
    slug = _named_slug(holder.application, route, params)
    if slug != holder.application:
        await _refuse_unknown(slug, lookup)
    return Caller(token, holder, None, slug, _role(holder, slug, route))


async def _look_up_again(token: str, known: Session, lookup: Lookup) -> Session:
    """The session with the roles that its user has now. Raises Reject: invalid-token."""
    holder = await lookup.find(token)
    if not isinstance(holder, Session):
        raise Reject("invalid-token")
    return holder._replace(last_used_at=known.last_used_at)


def _shown(session: Session, token: str, params: Params) -> dict[str, Any]:
    """The session in the view that was asked for; an unknown view is not judged this early."""
    view = params.values.get("session_view")
    if not isinstance(view, str) or view not in views.SESSION_VIEWS:
        view = "default"
    return views.session(session, token, view)


def _named_slug(own: str, route: Route, params: Params) -> Any:  # noqa: ANN401 - not judged yet
    """What the param `application` names, or the slug that the token was made for."""
    slug = params.values.get("application")
    if slug is None or "application" not in route.params.shape.properties:
        return own
    return slug


async def _refuse_unknown(slug: object, lookup: Lookup) -> None:
    """Judged here and not at validate, since without it nobody can say which role would call."""
    if not isinstance(slug, str) or "\0" in slug or not await lookup.is_application(slug):
        raise Reject("invalid-param", errors=[Reject.error("application", "unknown application")])


def _role(session: Session, slug: str, route: Route) -> str | None:
    """The first role of the route's list that the user holds; without a list, the user's first."""
    if route.roles is None:
        return session.roles[0] if session.roles else None
    for role in route.roles.get(slug, ()):
        if role in session.roles:
            return role
    raise Reject("permission-denied")
