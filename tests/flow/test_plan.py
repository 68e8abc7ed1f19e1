"""Plans list what apply does; the plan of a dump is empty."""

import asyncio
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from support.harness import Server, execute, on
from support.manifests import Routes, applied, desired, migrated, stored, wipe
from support.strategies import few_examples, manifests, write_and_check

from gateway.database.connect import Connection
from gateway.manifest.apply import Author, TooManyDeletesError, apply_all
from gateway.manifest.check import Desired, check
from gateway.manifest.dump import dump
from gateway.manifest.plan import MovedError, Plan, from_file, plan, to_file
from gateway.manifest.records.change import Change
from gateway.manifest.source.read import ManifestError

ONE: Routes = {"things.create": {}, "things.read": {"method": "GET"}}
AUTHOR = Author("tests")


async def planned(url: str, *states: Desired, prune: bool = False) -> list[Plan]:
    plans: list[Plan] = await on(url, lambda db: plan(db, states, prune=prune))
    return plans


def names_of(changes: list[Change]) -> set[tuple[str, str, str]]:
    return {(change.verb, change.kind, change.name) for change in changes}


# A dump

fixture_is_fine = hypothesis_settings(
    few_examples, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@fixture_is_fine
@given(manifests)
def test_dump_has_an_empty_plan_and_restores_an_equal_registry(
    registry: str, tmp_path: Path, documents: tuple[dict[str, Any], ...]
) -> None:
    async def work(connection: Connection) -> None:
        await wipe(connection)
        states = write_and_check(tmp_path, documents)
        await apply_all(connection, states, AUTHOR)
        first = await dump(connection)
        file = tmp_path / "dump.yaml"
        file.write_text(first, encoding="utf-8")
        dumped = check(file)
        for prune in (True, False):
            for result in await plan(connection, dumped, prune=prune):
                assert (result.changes, result.left_alone) == ([], [])
        await wipe(connection)
        await apply_all(connection, dumped, AUTHOR)
        assert await dump(connection) == first
        for result in await plan(connection, states, prune=True):
            assert result.changes == []

    asyncio.run(on(registry, work))


def test_strategies_write_every_text_unchanged(tmp_path: Path) -> None:
    """An error of the tests' own writer would look like an error of the gateway."""
    from support.strategies import ODD  # noqa: PLC0415

    for number, text in enumerate(text for text in ODD if text):
        service = {"kind": "python", "deployed": True, "title": text}
        head = {"version": 1, "namespace": "test", "routes": {}}
        [state] = write_and_check(tmp_path, ({**head, "services": {f"s{number}": service}},))
        assert state.services[f"s{number}"]["title"] == text


async def test_dump_applied_to_another_database_gives_the_same_dump(
    registry: str, postgres: Server, tmp_path: Path
) -> None:
    for routes, namespace in ((ONE, "b"), ({"parts.create": {"auth": "public"}}, "a")):
        await applied(registry, desired(tmp_path, routes, namespace))
    first = await on(registry, dump)
    file = tmp_path / "dump.yaml"
    file.write_text(first)
    other = await postgres.create(f"other_{tmp_path.name.lower()}", "template0")
    try:
        await migrated(other)
        assert await on(other, dump) == ""
        for state in check(file):
            await applied(other, state)
        assert await on(other, dump) == first
    finally:
        await postgres.drop(f"other_{tmp_path.name.lower()}")


async def test_dump_has_one_document_per_namespace_in_order(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {"z.b": {}, "z.a": {}, "y.a": {}}, "b"))
    await applied(registry, desired(tmp_path, {"x.a": {}}, "a"))
    await applied(registry, desired(tmp_path, {}, "c"))
    file = tmp_path / "dump.yaml"
    file.write_text(await on(registry, dump))
    a, b = check(file)
    assert (a.namespace, [*a.services], [*a.routes]) == ("a", ["x"], ["x.a"])
    assert (b.namespace, [*b.services], [*b.routes]) == ("b", ["y", "z"], ["y.a", "z.a", "z.b"])


async def test_dump_writes_several_lines_as_a_block(registry: str, tmp_path: Path) -> None:
    text = "Takes an order.\n\nAnd gives it back: off\n"
    await applied(registry, desired(tmp_path, {"things.create": {"description": text}}))
    printed = await on(registry, dump)
    assert "description: |\n      Takes an order.\n\n      And gives it back: off\n" in printed


async def test_dump_keeps_the_documentation_of_a_route(registry: str, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {"type": "integer"}}}
    documentation = {
        "returns": schema,
        "examples": {"params": {"off": "off"}, "returns": {"b": None, "a": 1}},
        "documented": False,
        "deprecated": "2026-12-01",
        "sunset": "2027-12-01",
    }
    routes: Routes = {"things.create": documentation, "things.read": {"returns": schema}}
    await applied(registry, desired(tmp_path, routes))
    first = await on(registry, dump)
    file = tmp_path / "dump.yaml"
    file.write_text(first)
    [dumped] = check(file)
    [result] = await planned(registry, dumped)
    assert (result.changes, result.left_alone) == ([], [])
    assert dumped.routes == desired(tmp_path, routes).routes
    # Days need no quotes, and keys keep their order.
    for text in ("deprecated: 2026-12-01\n", "sunset: 2027-12-01\n", "b: null\n"):
        assert text in first
    assert first.index("b: null") < first.index("a: 1")


# The content of a plan


async def test_plan_lists_what_apply_then_does(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {**ONE, "parts.create": {}}))
    before = await stored(registry)
    routes: Routes = {"things.create": {"title": "New"}, "things.delete": {}}
    for prune in (False, True):
        [result] = await planned(registry, desired(tmp_path, routes), prune=prune)
        assert (result.namespace, result.base.number) == ("test", 1)
        expected = {("change", "route", "things.create"), ("add", "route", "things.delete")}
        gone = {"parts", "parts.create", "things.read"}
        if prune:
            expected |= {("delete", "route" if "." in name else "service", name) for name in gone}
        assert names_of(result.changes) == expected
        assert set(result.left_alone) == (set() if prune else gone)
        assert result.deletes == (2 if prune else 0)
    assert await stored(registry) == before
    done = await applied(registry, desired(tmp_path, routes), prune=True)
    assert done.changes == result.changes
    [result] = await planned(registry, desired(tmp_path, routes), prune=True)
    assert (result.base.number, result.changes) == (2, [])


async def test_plan_excludes_records_of_other_namespaces(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, ONE))
    await applied(registry, desired(tmp_path, {"parts.create": {}}, "other"))
    [result] = await planned(registry, desired(tmp_path, {}, "other"), prune=True)
    assert {change.name for change in result.changes} == {"parts", "parts.create"}
    [result] = await planned(registry, desired(tmp_path, {}, "new"), prune=True)
    assert (result.base.number, result.changes, result.left_alone) == (0, [], [])


async def refused_by_both(url: str, *states: Desired, prune: bool = False) -> list[str]:
    """The errors that both plan and apply report; checks that nothing is written."""
    before = await stored(url)
    with pytest.raises(ManifestError) as of_plan:
        await planned(url, *states, prune=prune)
    with pytest.raises(ManifestError) as of_apply:
        await on(url, lambda db: apply_all(db, states, AUTHOR, prune=prune))
    assert str(of_plan.value) == str(of_apply.value)
    assert await stored(url) == before
    return str(of_plan.value).splitlines()


async def test_plan_refuses_a_name_of_another_namespace(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, ONE))
    errors = await refused_by_both(registry, desired(tmp_path, {"things.create": {}}, "other"))
    assert errors == [
        f"{tmp_path}/other.yaml:1: {path}: belongs to the namespace test; "
        "take another name, or delete it there first"
        for path in ("services: things", "routes: things.create")
    ]


async def test_plan_refuses_a_path_that_clashes_with_another_namespace(
    registry: str, tmp_path: Path
) -> None:
    params: dict[str, Any] = {"properties": {"id": {}, "n": {}}}
    things = {"things.a": {"path": "/a/{id}", "params": params}}
    parts = {"parts.a": {"path": "/a/{n}", "params": params}}
    await applied(registry, desired(tmp_path, things))
    [error] = await refused_by_both(registry, desired(tmp_path, parts, "other"))
    assert error == (
        f"{tmp_path}/other.yaml:1: routes: parts.a: path: POST /a/{{n}} matches the same requests "
        "as the route things.a of the namespace test; take another path, or delete things.a first"
    )


async def test_plan_refuses_a_slug_with_another_code_in_another_namespace(
    registry: str, tmp_path: Path
) -> None:
    def with_code(http: int) -> dict[str, Any]:
        return {"statuses": {"too-late": {"http": http, "meaning": "M"}}}

    await applied(registry, desired(tmp_path, {"things.a": with_code(409)}))
    await applied(registry, desired(tmp_path, {"parts.a": with_code(409)}, "other"))
    [error] = await refused_by_both(
        registry, desired(tmp_path, {"parts.a": with_code(422)}, "other")
    )
    assert error == (
        f"{tmp_path}/other.yaml:1: routes: parts.a: statuses: too-late: "
        "the HTTP code 422 differs from 409 in another route; "
        "a slug has the same code in every route"
    )


async def test_plan_namespaces_that_swap_paths_are_planned_and_applied_together(
    registry: str, tmp_path: Path
) -> None:
    def both(one: str, other: str) -> list[Desired]:
        return [
            desired(tmp_path, {"things.a": {"path": one}}, "a"),
            desired(tmp_path, {"parts.a": {"path": other}}, "b"),
        ]

    await on(registry, lambda db: apply_all(db, both("/x", "/y"), AUTHOR))
    for result in await planned(registry, *both("/y", "/x")):
        assert [change.verb for change in result.changes] == ["change"]
    done = await on(registry, lambda db: apply_all(db, both("/y", "/x"), AUTHOR))
    assert [outcome.revision for outcome in done] == [3, 4]


async def test_plan_with_one_refused_namespace_applies_none(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, ONE))
    fine = desired(tmp_path, {"parts.a": {}}, "a")
    await refused_by_both(registry, fine, desired(tmp_path, {"things.create": {}}, "b"))


# Deletes


@pytest.mark.parametrize(
    ("routes", "deletes", "limit"),
    [(12, 10, None), (12, 11, 10), (109, 11, 10), (110, 11, None), (110, 12, 11), (9, 9, None)],
)
async def test_apply_may_delete_ten_routes_or_a_tenth_without_max_deletes(
    registry: str, tmp_path: Path, routes: int, deletes: int, limit: int | None
) -> None:
    names = [f"things.a{n}" for n in range(routes)]
    await applied(registry, desired(tmp_path, {name: {} for name in names}))
    kept = desired(tmp_path, {name: {} for name in names[deletes:]})
    if limit is None:
        assert (await applied(registry, kept, prune=True)).revision == 2
        return
    before = await stored(registry)
    with pytest.raises(TooManyDeletesError) as refused:
        await applied(registry, kept, prune=True)
    assert str(refused.value) == (
        f"nothing was changed: this would delete {deletes} of the {routes} routes of the "
        f"namespace test, and the limit is {limit}; check that the file is complete, "
        f"or add --max-deletes {deletes}"
    )
    assert await stored(registry) == before
    assert (await applied(registry, kept, prune=True, max_deletes=deletes)).revision == 2


async def test_apply_max_deletes_replaces_the_default_limit(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, ONE))
    for limit in (0, 1):
        with pytest.raises(TooManyDeletesError, match="--max-deletes 2"):
            await applied(registry, desired(tmp_path, {}), prune=True, max_deletes=limit)
    assert (await applied(registry, desired(tmp_path, {}), max_deletes=0)).changes == []


# A pinned plan


async def pinned(url: str, *states: Desired, prune: bool = False) -> Any:
    """A pinned plan, read back from its JSON."""
    plans = await planned(url, *states, prune=prune)
    return from_file(orjson.loads(orjson.dumps(to_file(plans, list(states), prune=prune))))


async def test_pinned_plan_applies_what_was_planned(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {**ONE, "parts.create": {}}))
    state = desired(tmp_path, {"things.create": {"title": "New", "timeout": "7ms"}})
    desired_states, bases, prune = await pinned(registry, state, prune=True)
    assert (desired_states, bases["test"].revision.number, prune) == ([state], 1, True)
    [expected] = await planned(registry, state, prune=True)
    # Changes of another namespace do not invalidate the plan.
    await applied(registry, desired(tmp_path, {"others.create": {}}, "other"))
    [done] = await on(
        registry, lambda db: apply_all(db, desired_states, AUTHOR, prune=prune, bases=bases)
    )
    assert (done.revision, done.changes) == (3, expected.changes)


async def test_pinned_plan_with_a_changed_base_is_refused(registry: str, tmp_path: Path) -> None:
    states = [desired(tmp_path, ONE), desired(tmp_path, {"parts.create": {}}, "other")]
    desired_states, bases, _ = await pinned(registry, *states)
    await applied(registry, desired(tmp_path, {"parts.read": {}}, "other"))
    before = await stored(registry)
    with pytest.raises(MovedError) as refused:
        await on(registry, lambda db: apply_all(db, desired_states, AUTHOR, bases=bases))
    assert str(refused.value) == (
        "the plan is out of date: it was made for revision 0 of the namespace other, "
        "which is now at revision 1; run `gateway plan` again"
    )
    assert await stored(registry) == before


async def test_pinned_plan_can_be_applied_only_once(registry: str, tmp_path: Path) -> None:
    desired_states, bases, _ = await pinned(registry, desired(tmp_path, ONE))
    await on(registry, lambda db: apply_all(db, desired_states, AUTHOR, bases=bases))
    with pytest.raises(MovedError, match="which is now at revision 1"):
        await on(registry, lambda db: apply_all(db, desired_states, AUTHOR, bases=bases))
    assert len(await execute(registry, "select from gateway.revisions")) == 1


@pytest.mark.parametrize(
    "document",
    [None, 7, "x", [], {}, {"format": 2}, {"format": 1}, {"format": 1, "sha256": ""}],
    ids=json.dumps,
)
def test_pinned_plan_from_an_invalid_document_is_refused(document: Any) -> None:
    with pytest.raises(
        ValueError, match=r"is not a plan of `gateway plan -o`|another version|edit"
    ):
        from_file(document)


@pytest.mark.parametrize(
    "edit",
    [
        lambda plan: plan.update(prune=True),
        lambda plan: plan["bases"].update(test=7),
        lambda plan: plan["desired"][0]["routes"]["things.create"][0].update(auth=[]),
        lambda plan: plan["desired"].clear(),
    ],
)
async def test_pinned_plan_that_was_edited_is_refused(
    registry: str, tmp_path: Path, edit: Any
) -> None:
    state = desired(tmp_path, ONE)
    plan = to_file(await planned(registry, state), [state], prune=False)
    assert from_file(plan)[0] == [state]
    edit(plan)
    with pytest.raises(ValueError, match="was edited after it was planned; run"):
        from_file(plan)
