"""Each route for each caller and each application: who gets past authenticate, and who does not."""

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
"""What a caller meets in each of `APPLICATIONS`."""

APPLICATIONS = ("planoorder", "planox2", "planoauth")
UNKNOWN = "planox9"
USERS = ("client", "employee", "liaison", "nobody")

IN = "past authenticate"
DENIED, MISSING, NO_SUCH = "permission-denied", "missing-param", "invalid-param"
NEEDS_ROLE, NEEDS_USER = "client-required", "session-required"


def all_alike(outcome: str) -> Row:
    return (outcome, outcome, outcome, outcome)


def where(outcomes: str, other: str = DENIED) -> Row:
    """In where there is a `+`, `other` where there is a `-`; no application is unknown and in."""
    first, second, third = (IN if mark == "+" else other for mark in outcomes)
    return (first, second, third, NO_SUCH)


EVERYBODY = where("+++")
ANY_ROLE: Mapping[str, Row] = {
    "application": where("+--"),
    "application that may call nothing here": where("---"),
    "client": EVERYBODY,
    "employee": EVERYBODY,
    "liaison": EVERYBODY,
    "nobody": all_alike(NEEDS_ROLE),
    "without a token": all_alike(MISSING),
}
STAFF: Mapping[str, Row] = {
    **ANY_ROLE,
    "client": where("---"),
    "employee": where("+--"),
    "liaison": where("+--"),
}
ANY_USER: Mapping[str, Row] = {
    **ANY_ROLE,
    "application": all_alike(NEEDS_USER),
    "application that may call nothing here": all_alike(NEEDS_USER),
    "nobody": EVERYBODY,
}
SHOPLO: Mapping[str, Row] = {
    **dict.fromkeys(ANY_ROLE, all_alike(IN)),
    "application that may call nothing here": all_alike(DENIED),
    "nobody": all_alike(NEEDS_ROLE),
    "without a token": all_alike(MISSING),
}
"""Shoplo has no param `application`, so that what is sent under this name does not count."""

PUBLIC: Mapping[str, Row] = dict.fromkeys(ANY_ROLE, all_alike(IN))

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


async def _never_mind(_: Call) -> Reply:
    return Reply()


ACTIONS = Actions(dict.fromkeys(ROUTES, _never_mind))
"""Whoever gets past authenticate may do no harm: others are to be met as they are."""

DEPLOYED = """
update gateway.routes set record = record || '{"deployed": true, "envelope": "plano"}';
update gateway.services set record = record || '{"deployed": true}';
"""


@asynccontextmanager
async def everything_deployed(database: str, tokens: dict[str, str]) -> AsyncIterator[Client]:
    """Also what answers route-not-found otherwise, and in the envelope that names the status."""
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
    judged_later = status == MISSING and "token" not in attrs
    if is_public or status == "action-successful" or judged_later:
        return IN
    assert attrs == {MISSING: {"token"}, NO_SUCH: {"application"}}.get(status, set())
    return status


async def issued(database: str) -> dict[str, dict[str, str | None]]:
    """Tokens of each kind of caller, made for each application."""

    async def make(db: Connection) -> dict[str, dict[str, str | None]]:
        return {slug: await _tokens(db, slug) for slug in APPLICATIONS}

    made: dict[str, dict[str, str | None]] = await on(database, make)
    return made


async def _tokens(db: Connection, slug: str) -> dict[str, str | None]:
    users = {user: await issue.session(db, f"{user}@example.com", slug) for user in USERS}
    return {
        **users,
        "application": await issue.application_token(db, slug, "*", "tests"),
        "application that may call nothing here": await issue.application_token(
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
        found = {
            caller: tuple(
                [await outcome(client, route, token, slug) for slug in (*APPLICATIONS, UNKNOWN)]
            )
            for caller, token in callers.items()
        }
    assert found == ROUTES[route]


@pytest.mark.parametrize("route", ROUTES)
async def test_role_outcomes_of_a_token_issued_for_the_application(
    database: str, tokens: dict[str, str], route: str
) -> None:
    made = await issued(database)
    async with everything_deployed(database, tokens) as client:
        found = {
            caller: tuple([await outcome(client, route, made[slug][caller], None) for slug in made])
            for caller in made["planoorder"]
        }
    assert found == dict(_own(ROUTES[route]))


def _own(expected: Mapping[str, Row]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """A machine is in its own application by its own token, wherever roles do not say otherwise."""
    for caller, row in expected.items():
        at_home = expected is ANY_ROLE and caller == "application"
        yield caller, (IN, IN, IN) if at_home else row[:-1]


async def test_role_of_a_user_with_several_is_the_first_that_the_route_lists(
    database: str, tokens: dict[str, str]
) -> None:
    await execute(database, "insert into clients (user_id, name) values (1, 'Ada Fields')")
    roles = []

    async def note(call: Call) -> Reply:
        roles.append(call.caller.role)
        return Reply()

    noting = Actions(dict.fromkeys(ROUTES, note))
    async with serving(database, tokens, actions=noting) as client:
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
    async def applied(roles: list[str]) -> str:
        changed = {"auth": ["session"], "roles": {"planoorder": roles}}
        what = desired(tmp_path, {"things.create": changed})
        done = await on(database, lambda db: apply(db, what, Author("tests")))
        return str(done.revision)

    revision = await applied(["employee"])
    noting = Actions({"things.create": _never_mind})
    async with serving(database, tokens, actions=noting) as client:
        for roles, expected in ((["employee"], 200), (["liaison"], 403), (["employee"], 200)):
            revision = await applied(roles)
            headers = {
                "authorization": f"Bearer {tokens['employee']}",
                "x-min-registry-revision": revision,
            }
            answer = await client.post("/api/v1/things/create", {}, headers=headers)
            assert answer.status_code == expected
