"""Going back: any revision of any history can be had again, byte for byte."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.harness import execute, on
from support.manifests import Routes, applied, desired, wipe
from support.strategies import few

from gateway.database.connect import Connection
from gateway.manifest.apply import Applied, Author, UnknownRevisionError, rollback
from gateway.manifest.apply import apply as apply_one
from gateway.manifest.dump import dump
from gateway.manifest.read import ManifestError
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
# Both namespaces draw from the same names, so that records go from one to the other.
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
    """Applies and goes back, and holds each state against what was dumped when it was made."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self.connection = connection
        self.folder = folder
        self.dumps = {0: ""}
        self.table = Table(0)

    async def apply(self, namespace: str, routes: Routes, *, prune: bool) -> None:
        fixed = {n: {"params": {"properties": {"id": {}, "n": {}}}, **r} for n, r in routes.items()}
        try:
            what = desired(self.folder, fixed, namespace)
            await apply_one(self.connection, what, AUTHOR, prune=prune)
        except ManifestError:
            await self.is_at(max(self.dumps))
            return
        revision = await store.newest(self.connection)
        self.dumps.setdefault(revision, await dump(self.connection))
        await self.is_at(revision)

    async def back(self, revision: int) -> None:
        await rollback(self.connection, revision, AUTHOR)
        newest = await store.newest(self.connection)
        self.dumps.setdefault(newest, self.dumps[revision])
        assert self.dumps[newest] == self.dumps[revision]
        await self.is_at(newest)

    async def is_at(self, revision: int) -> None:
        """The registry holds this state, and a worker that follows serves it."""
        assert await dump(self.connection) == self.dumps[revision]
        self.table = await store.catch_up(self.connection, self.table)
        assert contents(self.table) == contents(await store.load(self.connection))
        assert self.table.revision == revision


@hypothesis_settings(
    few, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(_steps)
def test_a_rollback_brings_any_state_back_byte_for_byte(
    registry: str, tmp_path: Path, steps: list[Any]
) -> None:
    async def work(connection: Connection) -> None:
        await wipe(connection)
        history = History(connection, tmp_path)
        for step in steps:
            if isinstance(step, int):
                await history.back(sorted(history.dumps)[step % len(history.dumps)])
            else:
                namespace, routes, prune = step
                await history.apply(namespace, routes, prune=prune)
        for revision in [*history.dumps]:
            await history.back(revision)
        [row] = await connection.fetch("select count(*), max(id) from gateway.revisions")
        assert row["count"] == (row["max"] or 0)

    asyncio.run(on(registry, work))


# One by one


async def back(url: str, revision: int) -> list[Applied]:
    done: list[Applied] = await on(url, lambda db: rollback(db, revision, AUTHOR))
    return done


async def test_a_rollback_is_a_new_revision_of_each_namespace_that_changed(
    registry: str, tmp_path: Path
) -> None:
    for namespace in ("a", "b", "c"):
        await applied(registry, desired(tmp_path, {f"{namespace}x.create": {}}, namespace))
    for namespace in ("a", "b"):
        routes: Routes = {f"{namespace}x.create": {"title": "New"}, f"{namespace}x.read": {}}
        await applied(registry, desired(tmp_path, routes, namespace))
    done = await back(registry, 3)
    assert [(each.namespace, each.revision) for each in done] == [("a", 6), ("b", 7)]
    for each in done:
        assert [(change.verb, change.name) for change in each.changes] == [
            ("change", f"{each.namespace}x.create"),
            ("delete", f"{each.namespace}x.read"),
        ]
    rows = await execute(registry, "select * from gateway.revisions order by id desc limit 2")
    assert {(row["applied_by"], row["message"], row["reverts_to"]) for row in rows} == {
        ("tests", "back", 3)
    }


async def test_a_rollback_can_be_rolled_back(registry: str, tmp_path: Path) -> None:
    await applied(registry, desired(tmp_path, {"things.create": {}}))
    await applied(registry, desired(tmp_path, {"things.create": {"title": "New"}}))
    dumps = {2: await on(registry, dump)}
    await back(registry, 1)
    assert [each.revision for each in await back(registry, 2)] == [4]
    assert await on(registry, dump) == dumps[2]


async def test_revision_0_is_an_empty_registry(registry: str, tmp_path: Path) -> None:
    assert await back(registry, 0) == []
    for namespace in ("a", "b"):
        await applied(registry, desired(tmp_path, {f"{namespace}x.create": {}}, namespace))
    assert [each.revision for each in await back(registry, 0)] == [3, 4]
    assert await on(registry, dump) == ""
    assert len((await on(registry, store.load)).routes) == 0
    await back(registry, 2)
    assert len((await on(registry, store.load)).routes) == 2


async def test_a_rollback_to_where_the_registry_is_does_nothing(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, desired(tmp_path, {"things.create": {}}))
    assert await back(registry, 1) == []
    assert len(await execute(registry, "select from gateway.revisions")) == 1


@pytest.mark.parametrize("revision", [2, 10**12, -1])
async def test_an_unknown_revision_is_refused(registry: str, tmp_path: Path, revision: int) -> None:
    await applied(registry, desired(tmp_path, {"things.create": {}}))
    with pytest.raises(UnknownRevisionError) as refused:
        await back(registry, revision)
    assert (
        str(refused.value) == f"unknown revision {revision}; `gateway history` lists the revisions"
    )


async def test_a_rollback_may_delete_any_number_of_routes(registry: str, tmp_path: Path) -> None:
    many: Routes = {f"things.a{n}": {} for n in range(30)}
    await applied(registry, desired(tmp_path, many))
    [done] = await back(registry, 0)
    assert len(done.changes) == 31


async def test_records_that_moved_to_another_namespace_move_back(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, desired(tmp_path, {"s.a": {"title": "One"}}, "one"))
    first = await on(registry, dump)
    await applied(registry, desired(tmp_path, {}, "one"), prune=True)
    await applied(registry, desired(tmp_path, {"s.a": {"title": "Two"}}, "two"))
    done = await back(registry, 1)
    assert [
        (each.namespace, each.revision, [change.verb for change in each.changes]) for each in done
    ] == [("two", 4, ["delete", "delete"]), ("one", 5, ["add", "add"])]
    assert await on(registry, dump) == first


async def test_namespaces_that_traded_their_records_trade_them_back(
    registry: str, tmp_path: Path
) -> None:
    async def state(**services: str) -> str:
        for namespace in services:
            await applied(registry, desired(tmp_path, {}, namespace), prune=True)
        for namespace, service in services.items():
            await applied(registry, desired(tmp_path, {f"{service}.a": {}}, namespace))
        text: str = await on(registry, dump)
        return text

    first = await state(one="s", two="t")
    at = await on(registry, store.newest)
    table = await on(registry, store.load)
    second = await state(one="t", two="s")
    assert first != second
    await back(registry, at)
    assert await on(registry, dump) == first
    caught_up = await on(registry, lambda db: store.catch_up(db, table))
    assert contents(caught_up) == contents(await on(registry, store.load))
    await back(registry, await on(registry, store.newest) - 4)
    assert await on(registry, dump) == second
