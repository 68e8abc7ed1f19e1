"""Rollback: any revision of any history can be restored, byte for byte."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.harness import execute, on
from support.manifests import Routes, applied, desired, wipe
from support.strategies import few_examples

from gateway.database.connect import Connection
from gateway.manifest.apply import Applied, Author, TooManyDeletesError
from gateway.manifest.apply import apply as apply_one
from gateway.manifest.dump import dump
from gateway.manifest.plan import Plan
from gateway.manifest.rollback import (
    EmptyRevisionError,
    UnknownRevisionError,
    plan_rollback,
    rollback,
)
from gateway.manifest.source.read import ManifestError
from gateway.registry import store
from gateway.registry.records import record_of
from gateway.registry.table import Table

AUTHOR = Author("tests", "back")

# A random history

_route = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["A", "B"]),
        "path": st.sampled_from(["/p", "/q", "/r/{id:int}", "/r/{n}"]),
        "params": st.sampled_from([{"title": "One"}, {"title": "Two"}]).map(
            lambda params: {**params, "properties": {"id": {}, "n": {}}}
        ),
        "deployed": st.booleans(),
    },
)
# Both namespaces draw from the same names, so that records move from one to the other.
_names = st.sampled_from(["s.a", "s.b", "t.a", "u.a"])
_applies = st.tuples(
    st.sampled_from(["one", "two"]), st.dictionaries(_names, _route, max_size=3), st.booleans()
)
_steps = st.lists(_applies | st.integers(0, 99), min_size=2, max_size=12)


def contents(table: Table | None) -> Any:
    assert table is not None
    routes = {r.name: (record_of(r), r.params.text) for r in table.routes.values()}
    return table.revision, dict(table.services), routes


class History:
    """Applies and rolls back, and compares each state with the dump of its revision."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self.connection = connection
        self.folder = folder
        self.dumps = {0: ""}
        self.table = Table(0)

    async def apply(self, namespace: str, routes: Routes, *, prune: bool) -> None:
        fixed = {n: {"params": {"properties": {"id": {}, "n": {}}}, **r} for n, r in routes.items()}
        try:
            state = desired(self.folder, fixed, namespace)
            await apply_one(self.connection, state, AUTHOR, prune=prune)
        except ManifestError:
            await self.assert_at(max(self.dumps))
            return
        revision = (await store.newest(self.connection)).number
        self.dumps.setdefault(revision, await dump(self.connection))
        await self.assert_at(revision)

    async def roll_back(self, revision: int) -> None:
        await rollback(self.connection, revision, AUTHOR, max_deletes=99)
        newest = (await store.newest(self.connection)).number
        self.dumps.setdefault(newest, self.dumps[revision])
        assert self.dumps[newest] == self.dumps[revision]
        await self.assert_at(newest)

    async def roll_back_to_any(self, number: int) -> None:
        """Roll back to one of the revisions, if there is one."""
        revisions = sorted(self.dumps)[1:]
        if revisions:
            await self.roll_back(revisions[number % len(revisions)])

    async def assert_at(self, revision: int) -> None:
        """Check that the registry holds this state and a worker that follows serves it."""
        assert await dump(self.connection) == self.dumps[revision]
        self.table = await store.catch_up(self.connection, self.table)
        assert contents(self.table) == contents(await store.load(self.connection))
        assert self.table.revision == revision


@hypothesis_settings(
    few_examples, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(_steps)
def test_rollback_restores_any_state_byte_for_byte(
    registry: str, tmp_path: Path, steps: list[Any]
) -> None:
    async def work(connection: Connection) -> None:
        await wipe(connection)
        history = History(connection, tmp_path)
        for step in steps:
            if isinstance(step, int):
                await history.roll_back_to_any(step)
            else:
                namespace, routes, prune = step
                await history.apply(namespace, routes, prune=prune)
        for revision in [*history.dumps]:
            if revision:
                await history.roll_back(revision)
        [row] = await connection.fetch("select count(*), max(id) from gateway.revisions")
        assert row["count"] == (row["max"] or 0)

    asyncio.run(on(registry, work))


# Single rollbacks


async def roll_back(url: str, revision: int) -> list[Applied]:
    outcomes: list[Applied] = await on(url, lambda db: rollback(db, revision, AUTHOR))
    return outcomes


async def test_rollback_is_a_new_revision_of_each_changed_namespace(
    registry: str, tmp_path: Path
) -> None:
    for namespace in ("a", "b", "c"):
        await applied(registry, desired(tmp_path, {f"{namespace}x.create": {}}, namespace))
    for namespace in ("a", "b"):
        routes: Routes = {f"{namespace}x.create": {"title": "New"}, f"{namespace}x.read": {}}
        await applied(registry, desired(tmp_path, routes, namespace))
    outcomes = await roll_back(registry, 3)
    assert [(outcome.namespace, outcome.revision) for outcome in outcomes] == [("a", 6), ("b", 7)]
    for outcome in outcomes:
        assert [(change.verb, change.name) for change in outcome.changes] == [
            ("change", f"{outcome.namespace}x.create"),
            ("delete", f"{outcome.namespace}x.read"),
        ]
    rows = await execute(registry, "select * from gateway.revisions order by id desc limit 2")
    assert {(row["applied_by"], row["message"], row["reverts_to"]) for row in rows} == {
        ("tests", "back", 3)
    }


async def test_rollback_can_be_rolled_back(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {"things.create": {}}))
    await applied(registry, desired(tmp_path, {"things.create": {"title": "New"}}))
    dumps = {2: await on(registry, dump)}
    await roll_back(registry, 1)
    assert [outcome.revision for outcome in await roll_back(registry, 2)] == [4]
    assert await on(registry, dump) == dumps[2]


async def test_rollback_to_revision_0_is_refused(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {"things.create": {}}))
    first = await on(registry, dump)
    for verb in (roll_back, planned):
        with pytest.raises(EmptyRevisionError):
            await verb(registry, 0)
    assert await on(registry, dump) == first


async def test_rollback_to_the_current_state_does_nothing(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {"things.create": {}}))
    assert await roll_back(registry, 1) == []
    assert len(await execute(registry, "select from gateway.revisions")) == 1


async def planned(url: str, revision: int) -> list[Plan]:
    plans: list[Plan] = await on(url, lambda db: plan_rollback(db, revision))
    return plans


@pytest.mark.parametrize("revision", [2, 10**12, -1])
async def test_rollback_to_an_unknown_revision_is_refused(
    registry: str, tmp_path: Path, revision: int
) -> None:
    await applied(registry, desired(tmp_path, {"things.create": {}}))
    with pytest.raises(UnknownRevisionError) as refused:
        await roll_back(registry, revision)
    assert (
        str(refused.value) == f"unknown revision {revision}; `gateway history` lists the revisions"
    )


async def test_rollback_of_the_newest_revision_alone_may_delete_any_number_of_routes(
    registry: str, tmp_path: Path
) -> None:
    many: Routes = {f"things.a{n}": {} for n in range(30)}
    await applied(registry, desired(tmp_path, {"things.b": {}}))
    await applied(registry, desired(tmp_path, {"things.b": {}, **many}))
    await applied(registry, desired(tmp_path, {"things.b": {"title": "New"}, **many}))
    with pytest.raises(TooManyDeletesError, match="delete 30 of the 31 routes"):
        await roll_back(registry, 1)
    await roll_back(registry, 2)
    await on(registry, lambda db: rollback(db, 2, AUTHOR))
    [outcome] = await on(registry, lambda db: rollback(db, 1, AUTHOR, max_deletes=30))
    assert len(outcome.changes) == 30


async def test_rollback_returns_records_to_their_former_namespace(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, desired(tmp_path, {"s.a": {"title": "One"}}, "one"))
    first = await on(registry, dump)
    await applied(registry, desired(tmp_path, {}, "one"), prune=True)
    await applied(registry, desired(tmp_path, {"s.a": {"title": "Two"}}, "two"))
    outcomes = await roll_back(registry, 1)
    assert [
        (outcome.namespace, outcome.revision, [change.verb for change in outcome.changes])
        for outcome in outcomes
    ] == [("two", 4, ["delete", "delete"]), ("one", 5, ["add", "add"])]
    assert await on(registry, dump) == first


async def test_rollback_returns_records_that_namespaces_swapped(
    registry: str, tmp_path: Path
) -> None:
    async def apply_services(**services: str) -> str:
        for namespace in services:
            await applied(registry, desired(tmp_path, {}, namespace), prune=True)
        for namespace, service in services.items():
            await applied(registry, desired(tmp_path, {f"{service}.a": {}}, namespace))
        text: str = await on(registry, dump)
        return text

    first = await apply_services(one="s", two="t")
    at = (await on(registry, store.newest)).number
    table = await on(registry, store.load)
    second = await apply_services(one="t", two="s")
    assert first != second
    await roll_back(registry, at)
    assert await on(registry, dump) == first
    caught_up = await on(registry, lambda db: store.catch_up(db, table))
    assert contents(caught_up) == contents(await on(registry, store.load))
    newest = (await on(registry, store.newest)).number
    await roll_back(registry, newest - 4)
    assert await on(registry, dump) == second
