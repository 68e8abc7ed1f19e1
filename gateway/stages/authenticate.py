"""Authenticate: token to caller, then role and permission, in the order of the catalogue."""

from typing import Any

from gateway import statuses
from gateway.identity import lifetime, views
from gateway.identity.authenticator import Authenticator
from gateway.identity.token_store import Principal, TokenStore
from gateway.registry.records import Route
from gateway.registry.table import Match
from gateway.values import ANONYMOUS, Application, Caller, Params, Rejection, Request, Session


async def authenticate(
    request: Request, params: Params, match: Match, identity: Authenticator
) -> Caller:
    """Who calls, as whom.

    Raises Rejection: missing-param (the token alone), invalid-token, session-expired,
    client-required, session-required, invalid-param (the application alone), permission-denied,
    rate-limit-exceeded.
    """
    route = match.route
    if not route.auth:
        caller = ANONYMOUS._replace(token=request.bearer)
    else:
        token = _token(request, params)
        principal = identity.token_store.remembered(token) or await _look_up(
            token, request, identity
        )
        if isinstance(principal, Application):
            caller = await _application(token, principal, route, params, identity.token_store)
        else:
            caller = await _session(token, principal, route, params, identity.token_store)
    identity.limits.call(route, caller, request.address)
    return caller


async def _look_up(token: str, request: Request, identity: Authenticator) -> Principal:
    """The holder of a token, for an address that does not guess. Raises Rejection."""
    is_guess = identity.token_store.is_guess(token)
    if is_guess:
        identity.limits.before_look_up(request.address)
    principal = await identity.token_store.find(token)
    if principal is None and is_guess:
        identity.limits.was_unknown(request.address)
    if principal is None:
        raise Rejection(statuses.INVALID_TOKEN)
    return principal


def _token(request: Request, params: Params) -> str:
    """The token, from the param or the header; both are fine if they are the same."""
    given = params.values.get("token")
    bearer = request.bearer
    if given in (None, ""):
        given = bearer
    if given is None:
        raise Rejection(statuses.MISSING_PARAM, errors=[Rejection.error("token", "missing")])
    if not isinstance(given, str) or bearer not in (None, given):
        raise Rejection(statuses.INVALID_TOKEN)
    return given


async def _application(
    token: str, principal: Application, route: Route, params: Params, token_store: TokenStore
) -> Caller:
    if "application" not in route.auth:
        raise Rejection(statuses.SESSION_REQUIRED)
    slug = _named_slug(principal.slug, route, params)
    if slug != principal.slug:
        await _refuse_unknown(slug, token_store)
    may_call = slug == principal.slug and any(_covers(name, route) for name in principal.routes)
    if not may_call or (route.roles is not None and slug not in route.roles):
        raise Rejection(statuses.PERMISSION_DENIED)
    return Caller(token, None, principal, slug, None)


def _covers(name: str, route: Route) -> bool:
    """Whether a name that a token lists covers the route: itself, `service.*` or `*`."""
    return name in ("*", route.name, f"{route.name.partition('.')[0]}.*")


async def _session(
    token: str, principal: Session, route: Route, params: Params, token_store: TokenStore
) -> Caller:
    if "session" not in route.auth:
        raise Rejection(statuses.INVALID_TOKEN)
    now = token_store.now()
    if lifetime.is_over(principal, now) and lifetime.is_over(
        token_store.with_last_use(principal), now
    ):
        raise Rejection(statuses.SESSION_EXPIRED)
    token_store.touch(principal, now)
    principal = principal.used_at(now)
    if route.client_required and not principal.roles:
        # Who has just registered must not be refused from memory while the database can be asked.
        principal = await _look_up_again(token, principal, token_store)
        if not principal.roles:
            raise Rejection(
                statuses.CLIENT_REQUIRED, extra={"session": _shown(principal, token, params)}
            )
    slug = _named_slug(principal.application, route, params)
    if slug != principal.application:
        await _refuse_unknown(slug, token_store)
    return Caller(token, principal, None, slug, _role(principal, slug, route))


async def _look_up_again(token: str, known: Session, token_store: TokenStore) -> Session:
    """The session with the roles that its user has now. Raises Rejection: invalid-token."""
    principal = await token_store.find(token)
    if not isinstance(principal, Session):
        raise Rejection(statuses.INVALID_TOKEN)
    return principal._replace(last_used_at=known.last_used_at)


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


async def _refuse_unknown(slug: object, token_store: TokenStore) -> None:
    """Judged here and not at validate, since without it nobody can say which role would call."""
    if not isinstance(slug, str) or "\0" in slug or not await token_store.is_application(slug):
        raise Rejection(
            statuses.INVALID_PARAM, errors=[Rejection.error("application", "unknown application")]
        )


def _role(session: Session, slug: str, route: Route) -> str | None:
    """The first role of the route's list that the user holds; without a list, the user's first."""
    if route.roles is None:
        return session.roles[0] if session.roles else None
    for role in route.roles.get(slug, ()):
        if role in session.roles:
            return role
    raise Rejection(statuses.PERMISSION_DENIED)
