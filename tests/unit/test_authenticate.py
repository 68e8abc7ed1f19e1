"""Authenticate: tokens and their kinds, expired sessions, applications, roles."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.builders import (
    COMMON,
    NOON,
    application,
    authenticator,
    match,
    params,
    request,
    route,
    session,
)

from gateway.database.pool import Pool
from gateway.identity.token_cache import Principal
from gateway.identity.token_store import TokenStore
from gateway.stages.authenticate import authenticate
from gateway.values import ANONYMOUS, Caller, Params, Rejection

SCHEMA = params(**COMMON)
DAY = timedelta(days=1)


class FixedTokens(TokenStore):
    """A token store without a database; like PostgreSQL it refuses a NUL."""

    def __init__(self, principals: Mapping[str, Principal]) -> None:
        super().__init__(Pool("", 1))
        self.principals = principals
        self.looked_up: list[str] = []

    async def find(self, token: str, _: float = math.inf) -> Principal | None:
        self.looked_up.append(token)
        return self.principals.get(token)


async def caller(
    principal: Principal | None = None,
    values: Mapping[str, Any] | None = None,
    *,
    bearer: str | None = None,
    **changes: Any,
) -> Caller:
    """The caller of a request with the token `t`, which belongs to `principal`."""
    headers = {} if bearer is None else {"authorization": bearer}
    sent = Params(dict({"token": "t"} if values is None else values), frozenset(), holds_nul=False)
    store = FixedTokens({"t": principal} if principal else {})
    return await authenticate(
        request(**headers), sent, match(route(schema=SCHEMA, **changes)), authenticator(store)
    )


async def slug(principal: Principal | None = None, *args: Any, **options: Any) -> str:
    """The status with which such a request is refused."""
    with pytest.raises(Rejection) as caught:
        await caller(principal, *args, **options)
    return caught.value.slug


@pytest.mark.parametrize(
    ("values", "bearer"),
    [
        ({"token": "t"}, None),
        ({}, "Bearer t"),
        ({}, "bearer t"),
        ({}, "BEARER   t "),
        ({"token": "t"}, "Bearer t"),
        ({"token": ""}, "Bearer t"),
        ({"token": None}, "Bearer t"),
        ({"token": "t"}, "Basic dXNlcjpwYXNz"),
        ({"token": "t"}, "Bearer"),
        ({"token": "t"}, "Bearer "),
    ],
)
async def test_authenticate_takes_the_token_from_the_param_or_the_header(
    values: dict[str, Any], bearer: str | None
) -> None:
    assert (await caller(session(), values, bearer=bearer)).token == "t"


@pytest.mark.parametrize(
    ("values", "bearer"),
    [
        ({}, None),
        ({"token": ""}, None),
        ({"token": None}, None),
        ({}, ""),
        ({}, "Bearer"),
        ({}, "Bearer  "),
        ({}, "Basic dXNlcjpwYXNz"),
        ({}, "t"),
        ({"token": ""}, "Bearer "),
    ],
)
async def test_authenticate_without_a_token_names_it_alone_as_missing(
    values: dict[str, Any], bearer: str | None
) -> None:
    with pytest.raises(Rejection) as caught:
        await caller(session(), values, bearer=bearer)
    assert caught.value.slug == "missing-param"
    assert caught.value.errors == [{"attr": "token", "message": "missing"}]


@pytest.mark.parametrize(
    ("values", "bearer"),
    [
        ({"token": "t"}, "Bearer other"),
        ({"token": "other"}, "Bearer t"),
        ({"token": "T"}, None),
        ({"token": "t "}, None),
        ({"token": 5}, None),
        ({"token": 0}, None),
        ({"token": False}, None),
        ({"token": ["t"]}, None),
        ({"token": []}, None),
        ({"token": {"t": 1}}, None),
        ({"token": {}}, None),
        ({"token": 5}, "Bearer t"),
        ({"token": []}, "Bearer t"),
        ({}, "Bearer ż"),
    ],
)
async def test_authenticate_with_an_unknown_or_ambiguous_token_is_invalid(
    values: dict[str, Any], bearer: str | None
) -> None:
    assert await slug(session(), values, bearer=bearer) == "invalid-token"


async def test_authenticate_on_a_public_route_looks_no_token_up() -> None:
    store = FixedTokens({})
    public = match(route(schema=SCHEMA, auth=frozenset()))
    sent = Params({"token": "t"}, frozenset(), holds_nul=False)
    assert await authenticate(request(), sent, public, authenticator(store)) == ANONYMOUS
    bearer = request(authorization="Bearer t")
    assert (await authenticate(bearer, sent, public, authenticator(store))).token == "t"
    assert store.looked_up == []


async def test_authenticate_refuses_a_kind_of_token_that_the_route_does_not_take() -> None:
    assert await slug(session(), auth=frozenset({"application"})) == "invalid-token"
    assert await slug(application(), auth=frozenset({"session"})) == "session-required"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"last_used_at": NOON - 3 * DAY}, None),
        ({"last_used_at": NOON - 3 * DAY - timedelta(seconds=1)}, "session-expired"),
        ({"created_at": NOON - 7 * DAY}, None),
        ({"created_at": NOON - 7 * DAY - timedelta(seconds=1)}, "session-expired"),
        ({"created_at": NOON - 99 * DAY, "remember_me": True}, None),
        ({"created_at": NOON - 99 * DAY, "roles": ()}, "session-expired"),
    ],
    ids=["unused", "unused-too-long", "old", "too-old", "remembered", "before-client-required"],
)
async def test_authenticate_refuses_a_session_that_has_expired(
    changes: dict[str, Any], expected: str | None
) -> None:
    principal = session(**changes)
    if expected:
        assert await slug(principal) == expected
    else:
        assert (await caller(principal)).session == principal._replace(last_used_at=NOON)


async def test_authenticate_of_a_user_without_a_role_answers_with_its_session() -> None:
    with pytest.raises(Rejection) as caught:
        await caller(session(roles=()), {"token": "t", "session_view": "unknown"})
    assert caught.value.slug == "client-required"
    view = caught.value.extra["session"]
    assert (view["token"], view["user_id"]) == ("t", 2)


async def test_authenticate_on_a_route_that_requires_no_client_needs_no_role() -> None:
    user = await caller(session(roles=()), client_required=False)
    assert (user.user_id, user.role) == (2, None)


BOTH = {"planoorder": ("employee", "client"), "planox2": ("employee",)}


@pytest.mark.parametrize(
    ("roles", "requested", "route_roles", "expected"),
    [
        (("client",), None, None, ("planoorder", "client")),
        (("client", "employee"), None, None, ("planoorder", "client")),
        (("client",), None, BOTH, ("planoorder", "client")),
        (("client", "employee"), None, BOTH, ("planoorder", "employee")),
        (("employee",), "planox2", BOTH, ("planox2", "employee")),
        (("client",), "planox2", BOTH, "permission-denied"),
        (("liaison",), None, BOTH, "permission-denied"),
        (("client",), "planoauth", BOTH, "permission-denied"),
        (("client",), "planoauth", None, ("planoauth", "client")),
        (("client",), None, {}, "permission-denied"),
        (("client",), None, {"planoorder": ()}, "permission-denied"),
        (("client",), "unknown", None, "invalid-param"),
        (("client",), "unknown", BOTH, "invalid-param"),
        (("client",), "", None, "invalid-param"),
        (("client",), 5, None, "invalid-param"),
        (("client",), ["planoorder"], None, "invalid-param"),
        (("client",), "planoorder\0", None, "invalid-param"),
    ],
    ids=ascii,
)
async def test_authenticate_chooses_a_user_s_role_by_application(
    roles: tuple[str, ...], requested: object, route_roles: Any, expected: object
) -> None:
    values = {"token": "t"} if requested is None else {"token": "t", "application": requested}
    try:
        user = await caller(session(roles=roles), values, roles=route_roles)
    except Rejection as rejection:
        assert rejection.slug == expected
    else:
        assert (user.application_slug, user.role) == expected


async def test_authenticate_names_an_unknown_application_alone() -> None:
    with pytest.raises(Rejection) as caught:
        await caller(session(), {"token": "t", "application": "unknown"})
    assert [error["attr"] for error in caught.value.errors] == ["application"]


@pytest.mark.parametrize(
    ("token_routes", "requested", "route_roles", "expected"),
    [
        (("*",), None, None, None),
        (("things.create",), None, None, None),
        (("things.*",), None, None, None),
        (("others.*", "things.create"), None, None, None),
        ((), None, None, "permission-denied"),
        (("things",), None, None, "permission-denied"),
        (("things.read",), None, None, "permission-denied"),
        (("thing.*",), None, None, "permission-denied"),
        (("*.create",), None, None, "permission-denied"),
        (("things.creat",), None, None, "permission-denied"),
        (("*",), "planoorder", None, None),
        (("*",), "planox2", None, "permission-denied"),
        (("*",), "unknown", None, "invalid-param"),
        (("*",), None, {"planoorder": ()}, None),
        (("*",), None, {"planox2": ("client",)}, "permission-denied"),
    ],
    ids=ascii,
)
async def test_authenticate_checks_an_application_s_routes_and_slug(
    token_routes: tuple[str, ...], requested: str | None, route_roles: Any, expected: str | None
) -> None:
    values = {"token": "t", **({"application": requested} if requested else {})}
    principal = application(routes=token_routes)
    if expected:
        assert await slug(principal, values, roles=route_roles) == expected
    else:
        assert await caller(principal, values, roles=route_roles) == Caller(
            token="t",
            session=None,
            application=principal,
            application_slug="planoorder",
            role=None,
        )
