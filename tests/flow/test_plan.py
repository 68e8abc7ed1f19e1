"""Plans: what they say is what applying does; of a dump there is nothing to say."""

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
from support.strategies import few, manifests, written

from gateway.database.connect import Connection
from gateway.manifest.apply import Author, TooManyDeletesError, apply_all
from gateway.manifest.change import Change
from gateway.manifest.check import Desired, check
from gateway.manifest.dump import dump
from gateway.manifest.plan import MovedError, Plan, from_file, plan, to_file
from gateway.manifest.read import ManifestError

ONE: Routes = {"things.create": {}, "things.read": {"method": "GET"}}
AUTHOR = Author("tests")


async def planned(url: str, *what: Desired, prune: bool = False) -> list[Plan]:
    made: list[Plan] = await on(url, lambda db: plan(db, what, prune=prune))
    return made


def named(changes: list[Change]) -> set[tuple[str, str, str]]:
    return {(change.verb, change.kind, change.name) for change in changes}


# A dump

fixture_is_fine = hypothesis_settings(
    few, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@fixture_is_fine
@given(manifests)
def test_the_plan_of_a_dump_is_empty_and_a_dump_makes_an_equal_registry(
    registry: str, tmp_path: Path, documents: tuple[dict[str, Any], ...]
) -> None:
    async def work(connection: Connection) -> None:
        await wipe(connection)
        what = written(tmp_path, documents)
        await apply_all(connection, what, AUTHOR)
        first = await dump(connection)
        file = tmp_path / "dump.yaml"
        file.write_text(first, encoding="utf-8")
        dumped = check(file)
        for prune in (True, False):
            for each in await plan(connection, dumped, prune=prune):
                assert (each.changes, each.left_alone) == ([], [])
        await wipe(connection)
        await apply_all(connection, dumped, AUTHOR)
        assert await dump(connection) == first
        for each in await plan(connection, what, prune=True):
            assert each.changes == []

    asyncio.run(on(registry, work))


def test_what_is_drawn_is_written_as_it_is(tmp_path: Path) -> None:
    """The tests' own writer, whose faults would pass for the gateway's."""
    from support.strategies import ODD  # noqa: PLC0415

    for number, text in enumerate(text for text in ODD if text):
        service = {"kind": "python", "deployed": True, "title": text}
        head = {"version": 1, "namespace": "test", "routes": {}}
        [made] = written(tmp_path, ({**head, "services": {f"s{number}": service}},))
        assert made.services[f"s{number}"]["title"] == text


async def test_a_dump_goes_to_another_database_and_comes_back_the_same(
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
        for each in check(file):
            await applied(other, each)
        assert await on(other, dump) == first
    finally:
        await postgres.drop(f"other_{tmp_path.name.lower()}")


async def test_a_dump_has_a_document_a_namespace_and_is_in_order(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, desired(tmp_path, {"z.b": {}, "z.a": {}, "y.a": {}}, "b"))
    await applied(registry, desired(tmp_path, {"x.a": {}}, "a"))
    await applied(registry, desired(tmp_path, {}, "c"))
    file = tmp_path / "dump.yaml"
    file.write_text(await on(registry, dump))
    a, b = check(file)
    assert (a.namespace, [*a.services], [*a.routes]) == ("a", ["x"], ["x.a"])
    assert (b.namespace, [*b.services], [*b.routes]) == ("b", ["y", "z"], ["y.a", "z.a", "z.b"])


async def test_lines_are_dumped_as_lines(registry: str, tmp_path: Path) -> None:
    text = "Takes an order.\n\nAnd gives it back: off\n"
    await applied(registry, desired(tmp_path, {"things.create": {"description": text}}))
    printed = await on(registry, dump)
    assert "description: |\n      Takes an order.\n\n      And gives it back: off\n" in printed


# What a plan says


async def test_a_plan_says_what_applying_then_does(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {**ONE, "parts.create": {}}))
    before = await stored(registry)
    routes: Routes = {"things.create": {"title": "New"}, "things.delete": {}}
    for prune in (False, True):
        [found] = await planned(registry, desired(tmp_path, routes), prune=prune)
        assert (found.namespace, found.base) == ("test", 1)
        expected = {("change", "route", "things.create"), ("add", "route", "things.delete")}
        gone = {"parts", "parts.create", "things.read"}
        if prune:
            expected |= {("delete", "route" if "." in name else "service", name) for name in gone}
        assert named(found.changes) == expected
        assert set(found.left_alone) == (set() if prune else gone)
        assert found.deletes == (2 if prune else 0)
    assert await stored(registry) == before
    done = await applied(registry, desired(tmp_path, routes), prune=True)
    assert done.changes == found.changes
    [found] = await planned(registry, desired(tmp_path, routes), prune=True)
    assert (found.base, found.changes) == (2, [])


async def test_records_of_other_namespaces_are_no_part_of_a_plan(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, desired(tmp_path, ONE))
    await applied(registry, desired(tmp_path, {"parts.create": {}}, "other"))
    [found] = await planned(registry, desired(tmp_path, {}, "other"), prune=True)
    assert {change.name for change in found.changes} == {"parts", "parts.create"}
    [found] = await planned(registry, desired(tmp_path, {}, "new"), prune=True)
    assert (found.base, found.changes, found.left_alone) == (0, [], [])


async def both_refuse(url: str, *what: Desired, prune: bool = False) -> list[str]:
    """What plan and apply say alike; nothing is written."""
    before = await stored(url)
    with pytest.raises(ManifestError) as of_plan:
        await planned(url, *what, prune=prune)
    with pytest.raises(ManifestError) as of_apply:
        await on(url, lambda db: apply_all(db, what, AUTHOR, prune=prune))
    assert str(of_plan.value) == str(of_apply.value)
    assert await stored(url) == before
    return str(of_plan.value).splitlines()


async def test_a_name_of_another_namespace_is_refused_at_plan_time(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, desired(tmp_path, ONE))
    told = await both_refuse(registry, desired(tmp_path, {"things.create": {}}, "other"))
    assert told == [
        "other: services: things: belongs to the namespace test",
        "other: routes: things.create: belongs to the namespace test",
    ]


async def test_a_shape_of_another_namespace_is_refused_at_plan_time(
    registry: str, tmp_path: Path
) -> None:
    params: dict[str, Any] = {"properties": {"id": {}, "n": {}}}
    here = {"things.a": {"path": "/a/{id}", "params": params}}
    there = {"parts.a": {"path": "/a/{n}", "params": params}}
    await applied(registry, desired(tmp_path, here))
    [told] = await both_refuse(registry, desired(tmp_path, there, "other"))
    assert "things.a" in told
    assert "parts.a" in told
    assert "match the same requests" in told


async def test_a_slug_with_another_code_in_another_namespace_is_refused_at_plan_time(
    registry: str, tmp_path: Path
) -> None:
    def says(http: int) -> dict[str, Any]:
        return {"statuses": {"too-late": {"http": http, "meaning": "M"}}}

    await applied(registry, desired(tmp_path, {"things.a": says(409)}))
    await applied(registry, desired(tmp_path, {"parts.a": says(409)}, "other"))
    [told] = await both_refuse(registry, desired(tmp_path, {"parts.a": says(422)}, "other"))
    assert told == (
        "registry: routes: parts.a: statuses: too-late: "
        "the HTTP code 422 differs from 409 in another route; "
        "a slug has the same code in every route"
    )


async def test_namespaces_that_trade_paths_are_planned_and_applied_as_one(
    registry: str, tmp_path: Path
) -> None:
    def both(one: str, other: str) -> list[Desired]:
        return [
            desired(tmp_path, {"things.a": {"path": one}}, "a"),
            desired(tmp_path, {"parts.a": {"path": other}}, "b"),
        ]

    await on(registry, lambda db: apply_all(db, both("/x", "/y"), AUTHOR))
    for each in await planned(registry, *both("/y", "/x")):
        assert [change.verb for change in each.changes] == ["change"]
    done = await on(registry, lambda db: apply_all(db, both("/y", "/x"), AUTHOR))
    assert [each.revision for each in done] == [3, 4]


async def test_of_namespaces_of_which_one_is_refused_none_is_applied(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, desired(tmp_path, ONE))
    fine = desired(tmp_path, {"parts.a": {}}, "a")
    await both_refuse(registry, fine, desired(tmp_path, {"things.create": {}}, "b"))


# Deletes


@pytest.mark.parametrize(
    ("routes", "deletes", "limit"),
    [(12, 10, None), (12, 11, 10), (109, 11, 10), (110, 11, None), (110, 12, 11), (9, 9, None)],
)
async def test_a_tenth_of_the_routes_or_ten_go_without_a_word(
    registry: str, tmp_path: Path, routes: int, deletes: int, limit: int | None
) -> None:
    names = [f"things.a{n}" for n in range(routes)]
    await applied(registry, desired(tmp_path, {name: {} for name in names}))
    rest = desired(tmp_path, {name: {} for name in names[deletes:]})
    if limit is None:
        assert (await applied(registry, rest, prune=True)).revision == 2
        return
    before = await stored(registry)
    with pytest.raises(TooManyDeletesError) as refused:
        await applied(registry, rest, prune=True)
    assert str(refused.value) == (
        f"this would delete {deletes} of the {routes} routes of the namespace test, "
        f"and the limit is {limit}; to delete them, add --max-deletes {deletes}"
    )
    assert await stored(registry) == before
    assert (await applied(registry, rest, prune=True, max_deletes=deletes)).revision == 2


async def test_a_limit_that_is_given_is_the_limit(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, ONE))
    for limit in (0, 1):
        with pytest.raises(TooManyDeletesError, match="--max-deletes 2"):
            await applied(registry, desired(tmp_path, {}), prune=True, max_deletes=limit)
    assert (await applied(registry, desired(tmp_path, {}), max_deletes=0)).changes == []


# A pinned plan


async def pinned(url: str, *what: Desired, prune: bool = False) -> Any:
    """A plan as it comes back from its file."""
    plans = await planned(url, *what, prune=prune)
    return from_file(orjson.loads(orjson.dumps(to_file(plans, list(what), prune=prune))))


async def test_a_pinned_plan_applies_what_was_planned(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {**ONE, "parts.create": {}}))
    what = desired(tmp_path, {"things.create": {"title": "New", "timeout": "7ms"}})
    asked, bases, prune = await pinned(registry, what, prune=True)
    assert (asked, bases["test"].revision, prune) == ([what], 1, True)
    [expected] = await planned(registry, what, prune=True)
    # Another namespace that moves meanwhile is another's affair.
    await applied(registry, desired(tmp_path, {"others.create": {}}, "other"))
    [done] = await on(registry, lambda db: apply_all(db, asked, AUTHOR, prune=prune, bases=bases))
    assert (done.revision, done.changes) == (3, expected.changes)


async def test_a_pinned_plan_whose_base_moved_is_refused(registry: str, tmp_path: Path) -> None:
    what = [desired(tmp_path, ONE), desired(tmp_path, {"parts.create": {}}, "other")]
    asked, bases, _ = await pinned(registry, *what)
    await applied(registry, desired(tmp_path, {"parts.read": {}}, "other"))
    before = await stored(registry)
    with pytest.raises(MovedError) as refused:
        await on(registry, lambda db: apply_all(db, asked, AUTHOR, bases=bases))
    assert str(refused.value) == (
        "the plan is out of date: it was made for revision 0 of the namespace other, "
        "which is now at revision 1; run `gateway plan` again"
    )
    assert await stored(registry) == before


async def test_a_pinned_plan_is_applied_once(registry: str, tmp_path: Path) -> None:
    asked, bases, _ = await pinned(registry, desired(tmp_path, ONE))
    await on(registry, lambda db: apply_all(db, asked, AUTHOR, bases=bases))
    with pytest.raises(MovedError, match="which is now at revision 1"):
        await on(registry, lambda db: apply_all(db, asked, AUTHOR, bases=bases))
    assert len(await execute(registry, "select from gateway.revisions")) == 1


@pytest.mark.parametrize(
    "document",
    [None, 7, "x", [], {}, {"format": 2}, {"format": 1}, {"format": 1, "sha256": ""}],
    ids=json.dumps,
)
def test_what_is_no_plan_is_told(document: Any) -> None:
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
async def test_a_plan_that_was_edited_is_refused(registry: str, tmp_path: Path, edit: Any) -> None:
    what = desired(tmp_path, ONE)
    plan = to_file(await planned(registry, what), [what], prune=False)
    assert from_file(plan)[0] == [what]
    edit(plan)
    with pytest.raises(ValueError, match="was edited after it was planned; run"):
        from_file(plan)
