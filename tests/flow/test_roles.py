"""Each route for each kind of caller and each application: who gets past authentication."""

import base64
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest
import yaml
from support.harness import ROOT, Client, execute, on, serving
from support.manifests import desired

from gateway import Call, Reply
from gateway.database.connect import Connection
from gateway.dev.demo import PASSWORD
from gateway.identity import issue
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.manifest.read import ManifestError
from gateway.upstreams.python import Actions

Row: TypeAlias = tuple[str, str, str, str]
"""The outcome for each of `APPLICATIONS`, and for an unknown one."""

APPLICATIONS = ("planoorder", "planox2", "planoauth")
UNKNOWN = "planox9"
USERS = ("client", "employee", "liaison", "nobody")

IN = "past authentication"
DENIED, MISSING, NO_SUCH = "permission-denied", "missing-param", "invalid-param"
NEEDS_ROLE, NEEDS_USER = "client-required", "session-required"


def always(outcome: str) -> Row:
    return (outcome, outcome, outcome, outcome)


def where(outcomes: str, other: str = DENIED) -> Row:
    """`IN` for each `+` and `other` for each `-`; the unknown application is always refused."""
    first, second, third = (IN if mark == "+" else other for mark in outcomes)
    return (first, second, third, NO_SUCH)


EVERYWHERE = where("+++")
ANY_ROLE: Mapping[str, Row] = {
    "application": where("+--"),
    "application without these routes": where("---"),
    "client": EVERYWHERE,
    "employee": EVERYWHERE,
    "liaison": EVERYWHERE,
    "nobody": always(NEEDS_ROLE),
    "without a token": always(MISSING),
}
STAFF: Mapping[str, Row] = {
    **ANY_ROLE,
    "client": where("---"),
    "employee": where("+--"),
    "liaison": where("+--"),
}
ANY_USER: Mapping[str, Row] = {
    **ANY_ROLE,
    "application": always(NEEDS_USER),
    "application without these routes": always(NEEDS_USER),
    "nobody": EVERYWHERE,
}
SHOPLO: Mapping[str, Row] = {
    **dict.fromkeys(ANY_ROLE, always(IN)),
    "application without these routes": always(DENIED),
    "nobody": always(NEEDS_ROLE),
    "without a token": always(MISSING),
}
"""Shoplo has no param `application`, so a value sent under this name has no effect."""

PUBLIC: Mapping[str, Row] = dict.fromkeys(ANY_ROLE, always(IN))

ROUTES = {
    "order_stages.create": STAFF,
    "order_stages.index": ANY_ROLE,
    "appointments.create": ANY_ROLE,
    "sessions.create": PUBLIC,
    "sessions.read": ANY_USER,
    "sessions.index": ANY_USER,
    "sessions.delete": ANY_USER,
    "clients.register": PUBLIC,
    "users.client_register": ANY_USER,
    "users.update_password": ANY_USER,
    "statuses.index": SHOPLO,
    "statuses.count": SHOPLO,
    "statuses.read": SHOPLO,
    "statuses.create": SHOPLO,
    "statuses.update": SHOPLO,
    "statuses.delete": SHOPLO,
}
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "routes.yaml").read_text())["routes"]


async def _do_nothing(_: Call) -> Reply:
    return Reply()


ACTIONS = Actions(dict.fromkeys(ROUTES, _do_nothing))
"""Actions without effect, so that one call does not change the outcome of the next."""

DEPLOYED = """
update gateway.routes set record = record || '{"deployed": true, "envelope": "plano"}';
update gateway.services set record = record || '{"deployed": true}';
"""


@asynccontextmanager
async def everything_deployed(database: str, tokens: dict[str, str]) -> AsyncIterator[Client]:
    """A client of a worker with all routes deployed, in the envelope that contains the status."""
    await on(database, lambda db: db.execute(DEPLOYED))
    async with serving(database, tokens, actions=ACTIONS) as client:
        yield client


async def outcome(client: Client, route: str, token: str | None, slug: str | None) -> str:
    record = MANIFEST[route]
    path = record.get("path", f"/api/v1/{route.replace('.', '/')}").replace("{id:int}", "7")
    params = {"filler": 1, **({"application": slug} if slug else {})}
    body = orjson.dumps(params)
    headers = {"content-type": "application/json"}
    if record.get("sensitive_params"):
        body, headers = base64.b64encode(body), {"content-type": "text/plain"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    answer = (await client.request(record["method"], path, content=body, headers=headers)).json()
    return _outcome(answer, is_public=record["auth"] == "public")


def _outcome(answer: dict[str, Any], *, is_public: bool) -> str:
    status: str = answer["status"]
    attrs = {error["attr"] for error in answer.get("errors", ())}
    missing_other_param = status == MISSING and "token" not in attrs
    if is_public or status == "action-successful" or missing_other_param:
        return IN
    assert attrs == {MISSING: {"token"}, NO_SUCH: {"application"}}.get(status, set())
    return status


async def issued(database: str) -> dict[str, dict[str, str | None]]:
    """Issue tokens for each kind of caller, by application."""

    async def issue_all(db: Connection) -> dict[str, dict[str, str | None]]:
        return {slug: await _tokens(db, slug) for slug in APPLICATIONS}

    by_application: dict[str, dict[str, str | None]] = await on(database, issue_all)
    return by_application


async def _tokens(db: Connection, slug: str) -> dict[str, str | None]:
    users = {user: await issue.session(db, f"{user}@example.com", slug) for user in USERS}
    return {
        **users,
        "application": await issue.application_token(db, slug, "*", "tests"),
        "application without these routes": await issue.application_token(
            db, slug, "other_things.*", "tests"
        ),
        "without a token": None,
    }


def test_role_table_covers_every_route_of_the_manifest() -> None:
    assert ROUTES.keys() == MANIFEST.keys()


def test_role_table_agrees_with_the_manifest_on_public_routes() -> None:
    [records] = check(ROOT / "routes.yaml")
    public = {name for name, route in records.routes.items() if not route.record["auth"]}
    assert public == {name for name, expected in ROUTES.items() if expected is PUBLIC}


@pytest.mark.parametrize("route", ROUTES)
async def test_role_outcomes_of_a_planoorder_token_that_names_another_application(
    database: str, tokens: dict[str, str], route: str
) -> None:
    callers = (await issued(database))["planoorder"]
    async with everything_deployed(database, tokens) as client:
        outcomes = {
            caller: tuple(
                [await outcome(client, route, token, slug) for slug in (*APPLICATIONS, UNKNOWN)]
            )
            for caller, token in callers.items()
        }
    assert outcomes == ROUTES[route]


@pytest.mark.parametrize("route", ROUTES)
async def test_role_outcomes_of_a_token_issued_for_the_application(
    database: str, tokens: dict[str, str], route: str
) -> None:
    issued_tokens = await issued(database)
    async with everything_deployed(database, tokens) as client:
        outcomes = {
            caller: tuple(
                [
                    await outcome(client, route, callers[caller], None)
                    for callers in issued_tokens.values()
                ]
            )
            for caller in issued_tokens["planoorder"]
        }
    assert outcomes == dict(_with_own_token(ROUTES[route]))


def _with_own_token(expected: Mapping[str, Row]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The outcomes with a token of each application; routes without roles accept applications."""
    for caller, row in expected.items():
        is_accepted = expected is ANY_ROLE and caller == "application"
        yield caller, (IN, IN, IN) if is_accepted else row[:-1]


async def test_role_of_a_user_with_several_is_the_first_that_the_route_lists(
    database: str, tokens: dict[str, str]
) -> None:
    await execute(database, "insert into clients (user_id, name) values (1, 'Ada Fields')")
    roles = []

    async def record_role(call: Call) -> Reply:
        roles.append(call.caller.role)
        return Reply()

    actions = Actions(dict.fromkeys(ROUTES, record_role))
    async with serving(database, tokens, actions=actions) as client:
        assert (await client.create_stage(order_id=7)).status_code == 200
        headers = {"authorization": f"Bearer {tokens['employee']}"}
        answer = await client.request("GET", "/services/statuses", headers=headers)
        assert answer.status_code == 200
    assert roles == ["employee", "client"]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("employee", "action-successful"),
        ("liaison", "action-successful"),
        ("client", "user-requires-role"),
        ("nobody", "client-required"),
    ],
)
async def test_log_in_requires_a_role_of_the_application(
    client: Client, user: str, expected: str
) -> None:
    params = {"email": f"{user}@example.com", "password": PASSWORD, "application": "planox2"}
    body = base64.b64encode(orjson.dumps(params))
    answer = await client.post("/api/v1/sessions/create", content=body)
    assert answer.json()["status"] == expected


@pytest.mark.parametrize(
    "auth", [None, [], "", "nobody", ["session", "public"], ["application", 1]]
)
def test_route_with_invalid_auth_is_refused(tmp_path: Path, auth: object) -> None:
    with pytest.raises(ManifestError) as caught:
        desired(tmp_path, {"things.create": {"auth": auth}})
    assert "things.create" in str(caught.value)


def test_route_without_auth_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(
        "version: 1\n"
        "namespace: test\n"
        "services: {things: {kind: python, deployed: true, title: T}}\n"
        "routes: {things.create: {method: POST, deployed: true, title: T, params: {}}}\n"
    )
    with pytest.raises(ManifestError) as caught:
        check(file)
    assert "auth" in str(caught.value)


async def test_role_removed_from_a_route_is_refused_at_once(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    async def apply_roles(roles: list[str]) -> str:
        route = {"auth": ["session"], "roles": {"planoorder": roles}}
        manifest = desired(tmp_path, {"things.create": route})
        applied = await on(database, lambda db: apply(db, manifest, Author("tests")))
        return str(applied.revision)

    revision = await apply_roles(["employee"])
    actions = Actions({"things.create": _do_nothing})
    async with serving(database, tokens, actions=actions) as client:
        for roles, expected in ((["employee"], 200), (["liaison"], 403), (["employee"], 200)):
            revision = await apply_roles(roles)
            headers = {
                "authorization": f"Bearer {tokens['employee']}",
                "x-min-registry-revision": revision,
            }
            answer = await client.post("/api/v1/things/create", {}, headers=headers)
            assert answer.status_code == expected
