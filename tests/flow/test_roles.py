"""Each route for each kind of caller and each application: who gets past authentication."""

import base64
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import yaml
from support.harness import ROOT, Client, execute, on, serving
from support.manifests import desired

from gateway import Call, Reply
from gateway.database.connect import Connection
from gateway.dev.demo import PASSWORD
from gateway.identity import issue
from gateway.identity.tokens import digest
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.manifest.source.read import ManifestError
from gateway.upstreams.python import Actions

APPLICATIONS = ("planoorder", "planox2", "planoauth")
UNKNOWN = "planox9"
SLUGS = (None, *APPLICATIONS, UNKNOWN)
"""What a request may name as `application`; None for a request that names none."""

IN = "past authentication"
MISSING, NO_SUCH = "missing-param", "invalid-param"

MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "routes.yaml").read_text())
ROUTES: dict[str, Any] = MANIFEST["routes"]


class Kind(NamedTuple):
    """A kind of caller, with a token issued for the application `own`.

    `routes` are those of an application's token; None for a session. `state` is `live`, `revoked`,
    `expired` or `disabled`.
    """

    user: str
    roles: tuple[str, ...] = ()
    routes: str | None = None
    state: str = "live"
    own: str = "planoorder"


USERS = (
    Kind("employee", ("employee",)),
    Kind("client", ("client",)),
    Kind("liaison", ("liaison",)),
    Kind("nobody"),
)
ANONYMOUS = Kind("no token")
KINDS = (
    ANONYMOUS,
    *(user._replace(own=slug) for user in USERS for slug in APPLICATIONS),
    *(USERS[0]._replace(state=state) for state in ("revoked", "expired", "disabled")),
    *(Kind("application", routes="*", own=slug) for slug in APPLICATIONS),
    Kind("application", routes="other_things.*"),
    Kind("application", routes="*", state="revoked"),
)


def expected(route: str, kind: Kind, slug: str | None) -> str:
    """The outcome by the rule, from the manifest: the first of the pipeline's checks that fails."""
    record = ROUTES[route]
    if record["auth"] == "public":
        return IN
    if kind is ANONYMOUS:
        return MISSING
    if kind.state in {"revoked", "disabled"}:
        return "invalid-token"
    named = slug if slug and _has_param_application(route) else kind.own
    check_caller = _expected_of_session if kind.routes is None else _expected_of_application
    return check_caller(record, kind, named)


def _has_param_application(route: str) -> bool:
    """Shoplo has no param `application`, so a value sent under this name has no effect."""
    [records] = MANIFEST_RECORDS
    return "application" in orjson.loads(records.routes[route].params)["properties"]


def _expected_of_application(record: dict[str, Any], kind: Kind, named: str) -> str:
    if "application" not in record["auth"]:
        return "session-required"
    if named not in APPLICATIONS:
        return NO_SUCH
    is_listed = named in record.get("roles", APPLICATIONS)
    return IN if named == kind.own and kind.routes == "*" and is_listed else "permission-denied"


def _expected_of_session(record: dict[str, Any], kind: Kind, named: str) -> str:
    if kind.state == "expired":
        return "session-expired"
    if not kind.roles and record.get("client_required", True):
        return "client-required"
    if named not in APPLICATIONS:
        return NO_SUCH
    if not kind.roles and "roles" not in record:
        return IN
    accepted = record["roles"].get(named, []) if "roles" in record else kind.roles
    let_in = set(MANIFEST["applications"][named]["roles"])
    return IN if let_in & set(accepted) & set(kind.roles) else "permission-denied"


MANIFEST_RECORDS = check(ROOT / "routes.yaml")


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
    async with serving(database, tokens, actions=ACTIONS, check_returns="none") as client:
        yield client


async def outcome(client: Client, route: str, token: str | None, slug: str | None) -> str:
    record = ROUTES[route]
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


async def issued(db: Connection) -> dict[Kind, str | None]:
    """Issue a token for each kind of caller."""
    await db.execute(DISABLED_USER)
    callers = {kind: await _token(db, kind) for kind in KINDS}
    await db.execute("update gateway.users set disabled_at = now() where email like 'disabled%'")
    return callers


async def _token(db: Connection, kind: Kind) -> str | None:
    if kind is ANONYMOUS:
        return None
    if kind.routes:
        token = await issue.application_token(db, kind.own, kind.routes, "tests")
        table = "application_tokens"
    else:
        user = "disabled" if kind.state == "disabled" else kind.user
        token = await issue.session(db, f"{user}@example.com", kind.own)
        table = "sessions"
    change = {"revoked": "revoked_at = now()", "expired": "created_at = now() - interval '8 days'"}
    if kind.state in change:
        query = f"update gateway.{table} set {change[kind.state]} where token_hash = $1"
        await db.execute(query, digest(token))
    return token


DISABLED_USER = """
with u as (
    insert into gateway.users (email, first_name, last_name)
    values ('disabled@example.com', 'Eve', 'Gone') returning id
)
insert into gateway.employees (user_id) select id from u
"""


@pytest.mark.parametrize("route", ROUTES)
async def test_each_kind_of_caller_gets_past_authentication_as_the_manifest_says(
    database: str, tokens: dict[str, str], route: str
) -> None:
    callers: dict[Kind, str | None] = await on(database, issued)
    async with everything_deployed(database, tokens) as client:
        for kind, slug in itertools.product(KINDS, SLUGS):
            got = await outcome(client, route, callers[kind], slug)
            assert got == expected(route, kind, slug), (kind, slug)


async def test_role_of_a_user_with_several_is_the_first_that_the_route_lists(
    database: str, tokens: dict[str, str]
) -> None:
    await execute(database, "insert into gateway.clients (user_id, name) values (1, 'Ada Fields')")
    roles = []

    async def record_role(call: Call) -> Reply:
        roles.append(call.caller.role)
        return Reply()

    actions = Actions(dict.fromkeys(ROUTES, record_role))
    async with serving(database, tokens, actions=actions, check_returns="none") as client:
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
