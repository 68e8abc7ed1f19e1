"""Apply: one revision per change, one transaction, one apply at a time."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.harness import execute, on
from support.manifests import Routes, applied, desired, locked, migrated, stored

from gateway.manifest.apply import Author, apply
from gateway.manifest.source.read import ManifestError
from gateway.registry import store

ONE: Routes = {"things.create": {}, "things.read": {"method": "GET"}}


async def test_apply_first_apply_is_revision_1(registry: str, tmp_path: Path) -> None:
    done = await applied(registry, desired(tmp_path, ONE), actor="ada", message="we go live")
    assert done.revision == 1
    assert {(change.verb, change.kind, change.name) for change in done.changes} == {
        ("add", "service", "things"),
        ("add", "route", "things.create"),
        ("add", "route", "things.read"),
    }
    after = await stored(registry)
    [revision] = after["revisions"].values()
    assert revision == {
        "id": 1,
        "namespace": "test",
        "applied_by": "ada",
        "message": "we go live",
        "source": "",
        "reverts_to": None,
    }
    assert {(row["revision"], row["kind"], row["name"]) for row in after["changes"].values()} == {
        (1, change.kind, change.name) for change in done.changes
    }


async def test_apply_worker_loads_what_was_applied(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, ONE))
    table = await on(registry, store.load)
    assert table.revision == 1
    assert {(route.method, route.path) for route in table.routes.values()} == {
        ("POST", "/api/v1/things/create"),
        ("GET", "/api/v1/things/read"),
    }
    assert [*table.services] == ["things"]


async def test_apply_without_changes_creates_no_revision(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, ONE))
    before = await stored(registry)
    again = await applied(registry, desired(tmp_path, ONE))
    assert (again.revision, again.changes, again.left_alone) == (1, [], [])
    assert await stored(registry) == before


async def test_apply_of_nothing_to_an_empty_registry_stays_at_revision_0(
    registry: str, tmp_path: Path
) -> None:
    assert (await applied(registry, desired(tmp_path, {}))).revision == 0


async def test_apply_changed_field_touches_only_its_record(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, ONE))
    before = await stored(registry)
    done = await applied(registry, desired(tmp_path, {**ONE, "things.create": {"title": "New"}}))
    [change] = done.changes
    assert (change.verb, change.kind, change.name) == ("change", "route", "things.create")
    assert [*change.fields()] == [("title", "T", "New")]
    after = await stored(registry)
    assert done.revision == 2
    assert after["routes"]["things.create"].pop("revision") == 2
    assert after["routes"]["things.create"]["record"].pop("title") == "New"
    for row in before["routes"]["things.create"], before["routes"]["things.create"]["record"]:
        row.pop("revision", None)
        row.pop("title", None)
    assert after["changes"].keys() - before["changes"].keys() == {"2routethings.create"}
    for table in ("services", "routes", "schemas"):
        assert after[table] == before[table]


async def test_apply_keeps_unused_schemas_for_the_history(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {"things.create": {}, "things.update": {}}))
    assert len((await stored(registry))["schemas"]) == 1
    params = {"properties": {"n": {"type": "integer"}}}
    for routes in [
        {"things.create": {"params": params}, "things.update": {}},
        {"things.create": {"params": params}, "things.update": {"params": params}},
    ]:
        [change] = (await applied(registry, desired(tmp_path, routes))).changes
        assert [field for field, _, _ in change.fields()] == ["params.properties.n"]
        assert len((await stored(registry))["schemas"]) == 2


async def test_apply_without_prune_keeps_records_missing_from_the_manifest(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, desired(tmp_path, {**ONE, "parts.create": {}}))
    before = await stored(registry)
    done = await applied(registry, desired(tmp_path, ONE))
    assert (done.revision, done.changes) == (1, [])
    assert sorted(done.left_alone) == ["parts", "parts.create"]
    assert await stored(registry) == before


async def test_apply_prune_deletes_records_missing_from_the_manifest(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, desired(tmp_path, {**ONE, "parts.create": {}}))
    done = await applied(registry, desired(tmp_path, ONE), prune=True)
    assert (done.revision, done.left_alone) == (2, [])
    assert {(change.verb, change.kind, change.name) for change in done.changes} == {
        ("delete", "route", "parts.create"),
        ("delete", "service", "parts"),
    }
    after = await stored(registry)
    assert [*after["routes"]] == ["things.create", "things.read"]
    assert [*after["services"]] == ["things"]


async def test_apply_prune_keeps_other_namespaces(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, ONE))
    await applied(registry, desired(tmp_path, {"parts.create": {}}, "other"))
    before = await stored(registry)
    done = await applied(registry, desired(tmp_path, {}, "other"), prune=True)
    assert {change.name for change in done.changes} == {"parts", "parts.create"}
    after = await stored(registry)
    things = ("things", "things.create", "things.read")
    for table in ("services", "routes"):
        kept = {name: row for name, row in before[table].items() if name in things}
        assert after[table] == kept


async def test_apply_moved_route_frees_its_old_path(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {"things.a": {"path": "/a"}}))
    routes = {"things.a": {"path": "/b"}, "things.b": {"path": "/a"}}
    assert (await applied(registry, desired(tmp_path, routes))).revision == 2


async def refused(registry: str, tmp_path: Path, routes: Routes) -> str:
    """The error of applying these routes to another namespace; checks that nothing is written."""
    before = await stored(registry)
    with pytest.raises(ManifestError) as error:
        await applied(registry, desired(tmp_path, routes, "other"))
    assert await stored(registry) == before
    return str(error.value)


async def test_apply_refuses_a_name_of_another_namespace(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, ONE))
    message = await refused(registry, tmp_path, {"things.create": {}, "parts.create": {}})
    for line, place in zip(
        message.splitlines(), ("services: things", "routes: things.create"), strict=True
    ):
        assert f"{place}: belongs to the namespace test; take another name" in line


@pytest.mark.parametrize(
    ("path", "other_path"),
    [("/a/b", "/a/b"), ("/a/{id:int}", "/a/{n:int}"), ("/a/{id}", "/a/{name}")],
)
async def test_apply_refuses_clashing_paths_across_namespaces(
    registry: str, tmp_path: Path, path: str, other_path: str
) -> None:
    params: dict[str, Any] = {"properties": {"id": {}, "n": {}, "name": {}}}
    await applied(registry, desired(tmp_path, {"things.a": {"path": path, "params": params}}))
    routes = {"parts.a": {"path": other_path, "params": params}, "parts.b": {}}
    message = await refused(registry, tmp_path, routes)
    assert "things.a" in message
    assert "parts.a" in message
    assert "matches the same requests" in message


async def test_apply_two_concurrent_applies_run_one_after_the_other(
    registry: str, tmp_path: Path
) -> None:
    many: Routes = {f"things.a{n}": {} for n in range(40)}
    first = desired(tmp_path, many)
    second = desired(tmp_path, {f"parts.a{n}": {} for n in range(40)}, "other")
    done = await asyncio.gather(applied(registry, first), applied(registry, second))
    assert sorted(outcome.revision for outcome in done) == [1, 2]
    assert [len(outcome.changes) for outcome in done] == [41, 41]
    after = await stored(registry)
    assert sorted(after["revisions"]) == [1, 2]
    assert len(after["routes"]) == 80
    for outcome, namespace in zip(done, ("test", "other"), strict=True):
        rows = [row for row in after["routes"].values() if row["namespace"] == namespace]
        assert {row["revision"] for row in rows} == {outcome.revision}


async def test_apply_only_one_of_several_equal_concurrent_applies_writes(
    registry: str, tmp_path: Path
) -> None:
    state = desired(tmp_path, ONE)
    done = await asyncio.gather(*(applied(registry, state) for _ in range(8)))
    assert {outcome.revision for outcome in done} == {1}
    assert sorted(len(outcome.changes) for outcome in done) == [0] * 7 + [3]


KILL_WAITING = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock'
"""


async def test_apply_with_a_killed_backend_leaves_the_old_registry(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, desired(tmp_path, ONE))
    before = await stored(registry)
    changed: Routes = {
        "things.create": {"title": "New"},
        "parts.create": {"params": {"title": "Parts"}},
    }
    # The lock lets an apply read the schemas. It writes the services, then waits to write one.
    async with asyncio.timeout(20), locked(registry, "gateway.schemas", "exclusive"):
        cut = asyncio.create_task(applied(registry, desired(tmp_path, changed), prune=True))
        while not await execute(registry, KILL_WAITING):
            assert not cut.done()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await cut
    assert await stored(registry) == before
    assert (await applied(registry, desired(tmp_path, changed), prune=True)).revision == 2


async def test_apply_that_fails_at_its_last_row_leaves_the_old_registry(
    empty_database: str, tmp_path: Path
) -> None:
    registry = empty_database
    await migrated(registry)
    await applied(registry, desired(tmp_path, ONE))
    before = await stored(registry)
    await execute(registry, "alter table gateway.routes add check (name <> 'things.z')")
    many: Routes = {f"things.{letter}": {} for letter in "abcdz"}
    with pytest.raises(asyncpg.CheckViolationError):
        await applied(registry, desired(tmp_path, many), prune=True)
    assert await stored(registry) == before


async def test_apply_inside_a_transaction_that_fails_later_writes_nothing(
    registry: str, tmp_path: Path
) -> None:
    async def both(connection: Any) -> None:
        async with connection.transaction():
            await apply(connection, desired(tmp_path, {"things.a": {}}), Author("tests"))
            await apply(connection, desired(tmp_path, {"things.a": {}}, "other"), Author("tests"))

    with pytest.raises(ManifestError, match="belongs to the namespace test"):
        await on(registry, both)
    assert not any((await stored(registry)).values())
