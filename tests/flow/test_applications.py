"""Applications, defaults and settings: from the manifest through the registry to a call."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.harness import Client, execute, on, serving
from support.manifests import USUAL, applied

from gateway import Call, Reply
from gateway.identity import issue
from gateway.manifest.apply import Author, apply_all
from gateway.manifest.check import Desired, check
from gateway.manifest.plan import plan
from gateway.manifest.rollback import rollback
from gateway.manifest.source.read import ManifestError
from gateway.manifest.warnings import warnings
from gateway.upstreams.python import Actions

SHOP = {"title": "Shop", "roles": ["employee"]}
THINGS = {"kind": "python", "deployed": True, "title": "Things"}


def document(**sections: Any) -> dict[str, Any]:
    """A manifest with one service, one route and the application `shop`."""
    return {
        "version": 1,
        "namespace": "test",
        "applications": {"shop": SHOP},
        "services": {"things": THINGS},
        "routes": {"things.create": {**USUAL, "auth": ["application", "session"]}},
        **sections,
    }


def checked(folder: Path, **sections: Any) -> Desired:
    file = folder / "routes.yaml"
    file.write_bytes(orjson.dumps(document(**sections)))
    [state] = check(file)
    return state


def errors(folder: Path, **sections: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        checked(folder, **sections)
    return [f"{diagnostic.path}: {diagnostic.message}" for diagnostic in caught.value.diagnostics]


async def changes(url: str, state: Desired, *, prune: bool = False) -> list[tuple[str, str]]:
    [planned] = await on(url, lambda db: plan(db, [state], prune=prune))
    return [(change.verb, change.name) for change in planned.changes if change.kind != "route"]


async def test_application_is_planned_applied_changed_and_rolled_back(
    registry: str, tmp_path: Path
) -> None:
    state = checked(tmp_path)
    assert await changes(registry, state) == [("add", "shop"), ("add", "things")]
    first = await applied(registry, state)
    assert await changes(registry, state) == []
    await applied(registry, checked(tmp_path, applications={"shop": {**SHOP, "roles": []}}))
    await on(registry, lambda db: rollback(db, first.revision, Author("tests")))
    assert await changes(registry, state) == []


async def test_application_that_lets_in_fewer_roles_breaks_callers(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, checked(tmp_path))
    fewer = checked(tmp_path, applications={"shop": {"title": "Shop", "roles": ["client"]}})
    [planned] = await on(registry, lambda db: plan(db, [fewer], prune=False))
    [(_, phrases)] = planned.breaking()
    assert phrases == ["no longer lets in the role employee"]


async def test_application_that_is_left_out_refuses_its_tokens_until_it_returns(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    async def create(_: Call) -> Reply:
        return Reply()

    async def call_at(revision: int) -> str:
        headers = {"authorization": f"Bearer {token}", "x-min-registry-revision": str(revision)}
        answer = await client.post("/api/v1/things/create", {}, headers=headers)
        return str(answer.json()["status"])

    here, gone = checked(tmp_path), checked(tmp_path, applications={})
    added = await applied(database, here)
    token = await on(database, lambda db: issue.application_token(db, "shop", "*", "tests"))
    async with serving(database, tokens, actions=Actions({"things.create": create})) as client:
        assert await call_at(added.revision) == "action-successful"
        removed = await applied(database, gone, prune=True)
        assert await call_at(removed.revision) == "invalid-token"
        with pytest.raises(issue.IssueError, match="application 'shop' was removed"):
            await on(database, lambda db: issue.application_token(db, "shop", "*", "tests"))
        returned = await applied(database, here)
        assert await call_at(returned.revision) == "action-successful"


async def test_application_of_another_namespace_is_refused(registry: str, tmp_path: Path) -> None:
    await applied(registry, checked(tmp_path))
    other = checked(tmp_path, namespace="other", services={}, routes={})
    with pytest.raises(ManifestError, match="belongs to the namespace test"):
        await on(registry, lambda db: plan(db, [other], prune=False))


async def test_application_that_a_route_still_names_is_not_removed(
    registry: str, tmp_path: Path
) -> None:
    route = {**USUAL, "roles": {"shop": ["employee"]}}
    await applied(registry, checked(tmp_path, routes={"things.create": route}))

    async def remove(db: Any) -> Any:
        without = Desired("test", services={"things": {**THINGS, "settings": {}}})
        without.routes.update(checked(tmp_path, routes={"things.create": route}).routes)
        return await apply_all(db, [without], Author("tests"), prune=True)

    with pytest.raises(ManifestError, match="unknown application shop; known applications: none"):
        await on(registry, remove)


UNKNOWN = {"things.create": {**USUAL, "roles": {"shpo": ["employee"]}}}


def test_roles_of_an_unknown_application_are_an_error_of_check(tmp_path: Path) -> None:
    [error] = errors(tmp_path, routes=UNKNOWN)
    message = "unknown application shpo (did you mean shop?); known applications: shop"
    assert error == f"routes: things.create: roles: shpo: {message}"


async def test_roles_of_an_unknown_application_are_an_error_of_plan_and_apply(
    registry: str, tmp_path: Path
) -> None:
    """A manifest without applications may use those of another one, which check cannot see."""
    state = checked(tmp_path, routes=UNKNOWN, applications={})
    with pytest.raises(ManifestError, match="unknown application shpo"):
        await on(registry, lambda db: plan(db, [state], prune=False))
    with pytest.raises(ManifestError, match="unknown application shpo"):
        await applied(registry, state)
    assert await execute(registry, "select from gateway.revisions") == []


async def test_application_made_before_manifests_had_them_is_adopted_with_its_tokens(
    registry: str, tmp_path: Path
) -> None:
    legacy = "insert into gateway.applications (slug, name) values ('shop', 'Old') returning id"
    [row] = await execute(registry, legacy)
    state = checked(tmp_path)
    assert await changes(registry, state) == [("add", "shop"), ("add", "things")]
    await applied(registry, state)
    [after] = await execute(registry, "select id, name, roles, namespace from gateway.applications")
    assert tuple(after) == (row["id"], "Shop", ["employee"], "test")


def test_defaults_apply_to_routes_that_leave_them_out(tmp_path: Path) -> None:
    defaults = {
        "method": "POST",
        "deployed": True,
        "auth": ["session"],
        "roles": {"shop": ["employee"]},
        "idempotency": "optional",
        "timeout": "3s",
    }
    routes = {
        "things.create": {"title": "Create", "params": {}},
        "things.read": {"title": "Read", "params": {}, "method": "GET", "timeout": "1s"},
        "things.open": {"title": "Open", "params": {}, "auth": "public"},
    }
    state = checked(tmp_path, defaults=defaults, routes=routes)
    create, read, public = (state.routes[name].record for name in routes)
    assert (create["method"], create["auth"], create["timeout"]) == ("POST", ["session"], 3.0)
    assert (read["method"], read["timeout"]) == ("GET", 1.0)
    assert (public["roles"], public["idempotency"]) == (None, "off")


@pytest.mark.parametrize(
    ("defaults", "path"),
    [({"auth": "publc"}, "defaults: auth"), ({"path": "/x"}, "defaults"), ([], "defaults")],
)
def test_defaults_that_are_invalid_are_reported_once(
    tmp_path: Path, defaults: Any, path: str
) -> None:
    routes = {f"things.r{n}": {"title": "T", "params": {}} for n in range(3)}
    [error] = errors(tmp_path, defaults=defaults, routes=routes)
    assert error.startswith(path)


def settings_schema(folder: Path) -> None:
    file = folder / "schemas" / "things" / "settings.json"
    file.parent.mkdir(parents=True)
    limit = {"type": "integer", "minimum": 1}
    schema = {"type": "object", "required": ["limit"], "properties": {"limit": limit}}
    file.write_bytes(orjson.dumps(schema))


@pytest.mark.parametrize("settings", [{}, {"limit": 0}, {"limit": "many"}])
def test_settings_that_the_service_does_not_allow_are_refused(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    settings_schema(tmp_path)
    [error] = errors(tmp_path, services={"things": {**THINGS, "settings": settings}})
    assert error.startswith("services: things: settings")


def test_settings_that_nothing_checks_are_warned_of(tmp_path: Path) -> None:
    state = checked(tmp_path, services={"things": {**THINGS, "settings": {"limit": 3}}})
    found = list(warnings(tmp_path / "routes.yaml", [state], ["things.create"]))
    assert any("its settings are not checked" in warning for warning in found)


async def test_settings_reach_the_action_and_follow_the_registry(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    settings_schema(tmp_path)

    async def create(call: Call) -> Reply:
        return Reply({"limit": call.settings["limit"]})

    async def answers(client: Client, revision: int) -> Any:
        headers = {
            "authorization": f"Bearer {tokens['employee']}",
            "x-min-registry-revision": str(revision),
        }
        answer = await client.post("/api/v1/things/create", {}, headers=headers)
        return answer.json()["data"]["limit"]

    async def apply_limit(limit: int) -> int:
        services = {"things": {**THINGS, "settings": {"limit": limit}}}
        return (await applied(database, checked(tmp_path, services=services))).revision

    revision = await apply_limit(1)
    async with serving(database, tokens, actions=Actions({"things.create": create})) as client:
        assert await answers(client, revision) == 1
        assert await answers(client, await apply_limit(2)) == 2


def warnings_of(folder: Path, routes: dict[str, Any]) -> Iterable[str]:
    state = checked(folder, routes=routes)
    return list(warnings(folder / "routes.yaml", [state], routes))


def test_writing_route_for_every_role_beside_a_public_one_is_warned_of(tmp_path: Path) -> None:
    register = {**USUAL, "auth": "public"}
    write = {**USUAL, "auth": ["session"]}
    [warning] = warnings_of(tmp_path, {"things.register": register, "things.write": write})
    assert warning.startswith("things.write: every role may call it")
    assert "things.register" in warning
    for changed in (
        {"method": "GET"},
        {"roles": {"shop": ["employee"]}},
        {"client_required": False},
        {"deployed": False},
        {"auth": ["application"]},
    ):
        routes = {"things.register": register, "things.write": {**write, **changed}}
        assert warnings_of(tmp_path, routes) == []
    assert warnings_of(tmp_path, {"things.write": write}) == []
