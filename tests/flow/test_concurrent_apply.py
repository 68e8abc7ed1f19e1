"""Many applies at once: one after the other, each whole, each told if it came too late."""

import asyncio
from pathlib import Path
from typing import Any

from support.harness import execute, on
from support.manifests import Routes, applied, desired, migrated

from gateway.manifest.apply import Applied, Author, apply_all, rollback
from gateway.manifest.change import Change
from gateway.manifest.check import Desired
from gateway.manifest.dump import dump
from gateway.manifest.plan import MovedError
from gateway.registry import store
from gateway.registry.records import record_of
from gateway.registry.table import Table

MANY = 20


def titled(folder: Path, number: int, namespace: str = "test") -> Desired:
    """A namespace whose records all say which apply they are of."""
    routes: Routes = {f"{namespace}s.a{n}": {"title": f"T{number}"} for n in range(3)}
    return desired(folder, routes, namespace)


async def revisions(url: str) -> list[int]:
    return [row["id"] for row in await execute(url, "select id from gateway.revisions order by id")]


async def titles(url: str) -> set[str]:
    rows = await execute(url, "select record ->> 'title' as title from gateway.routes")
    return {row["title"] for row in rows}


async def test_applies_at_once_are_revisions_without_a_gap(registry: str, tmp_path: Path) -> None:
    whats = [titled(tmp_path, number) for number in range(MANY)]
    done = await asyncio.gather(*(applied(registry, what) for what in whats))
    assert sorted(each.revision for each in done) == await revisions(registry)
    assert await revisions(registry) == list(range(1, MANY + 1))
    last = max(range(MANY), key=lambda number: done[number].revision)
    assert await titles(registry) == {f"T{last}"}


async def test_each_apply_starts_from_what_the_one_before_it_left(
    registry: str, tmp_path: Path
) -> None:
    whats = [titled(tmp_path, number) for number in range(MANY)]
    done = await asyncio.gather(*(applied(registry, what) for what in whats))
    done.sort(key=lambda each: each.revision)
    before: dict[str, Any] = {}
    for each in done:
        for change in each.changes:
            assert change.before == before.get(change.name)
            before[change.name] = change.after


async def test_of_pinned_applies_at_once_one_wins_and_the_others_are_told(
    registry: str, tmp_path: Path
) -> None:
    await applied(registry, titled(tmp_path, MANY))
    whats = [titled(tmp_path, number) for number in range(MANY)]
    done = await asyncio.gather(
        *(applied(registry, what, base=1) for what in whats), return_exceptions=True
    )
    won = [number for number, each in enumerate(done) if isinstance(each, Applied)]
    lost = [each for each in done if isinstance(each, MovedError)]
    assert (len(won), len(lost)) == (1, MANY - 1)
    assert all("which is now at revision 2" in str(each) for each in lost)
    assert await revisions(registry) == [1, 2]
    assert await titles(registry) == {f"T{won[0]}"}


async def test_pinned_applies_of_other_namespaces_do_not_meet(
    registry: str, tmp_path: Path
) -> None:
    whats = [titled(tmp_path, 0, f"n{number}") for number in range(MANY)]
    done = await asyncio.gather(*(applied(registry, what, base=0) for what in whats))
    assert sorted(each.revision for each in done) == list(range(1, MANY + 1))


async def test_applies_of_two_namespaces_each_are_whole(registry: str, tmp_path: Path) -> None:
    def both(number: int) -> list[Desired]:
        return [titled(tmp_path, number, "a"), titled(tmp_path, number, "b")]

    whats = [both(number) for number in range(MANY)]
    seen = asyncio.create_task(watch(registry))
    await asyncio.gather(
        *(on(registry, lambda db, w=what: apply_all(db, w, Author("tests"))) for what in whats)  # type: ignore[misc]
    )
    assert await revisions(registry) == list(range(1, 2 * MANY + 1))
    assert not seen.done(), "half an apply was seen"
    seen.cancel()
    await asyncio.gather(seen, return_exceptions=True)


async def watch(url: str) -> None:
    """Nobody ever sees one namespace of an apply without the other."""

    async def look(connection: Any) -> None:
        while True:
            table = await store.load(connection)
            assert len({route.title for route in table.routes.values()}) <= 1
            assert table.revision % 2 == 0

    await on(url, look)


def contents(table: Table) -> Any:
    return table.revision, {route.name: record_of(route) for route in table.routes.values()}


async def test_a_follower_that_catches_up_meanwhile_ends_where_a_load_does(
    registry: str, tmp_path: Path
) -> None:
    async def follow(connection: Any) -> Table:
        table = await store.load(connection)
        while table.revision < MANY:
            table = await store.catch_up(connection, table)
        return table

    following = asyncio.create_task(on(registry, follow))
    whats = [titled(tmp_path, number, f"n{number % 3}") for number in range(MANY)]
    await asyncio.gather(*(applied(registry, what) for what in whats))
    async with asyncio.timeout(20):
        assert contents(await following) == contents(await on(registry, store.load))


async def test_applies_and_rollbacks_at_once_leave_a_state_that_was_applied(
    registry: str, tmp_path: Path
) -> None:
    states = {}
    for number in range(3):
        await applied(registry, titled(tmp_path, number))
        states[number] = await on(registry, dump)
    back = [
        on(registry, lambda db, r=revision: rollback(db, r, Author("tests")))  # type: ignore[misc]
        for revision in (1, 2, 3) * 3
    ]
    forth = [applied(registry, titled(tmp_path, number)) for number in (0, 1, 2) * 3]
    await asyncio.gather(*back, *forth)
    found = await revisions(registry)
    assert found == list(range(1, len(found) + 1))
    assert await on(registry, dump) in states.values()


async def test_an_apply_waits_for_the_one_before_it_and_not_for_readers(
    empty_database: str, tmp_path: Path
) -> None:
    await migrated(empty_database)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(connection: Any) -> list[Change]:
        async with connection.transaction():
            [done] = await apply_all(connection, [titled(tmp_path, 1)], Author("tests"))
            entered.set()
            await leave.wait()
        return done.changes

    first = asyncio.create_task(on(empty_database, slow))
    await entered.wait()
    second = asyncio.create_task(applied(empty_database, titled(tmp_path, 2)))
    assert await on(empty_database, dump) == ""
    assert (await on(empty_database, store.load)).revision == 0
    assert not second.done()
    leave.set()
    assert {change.verb for change in await first} == {"add"}
    assert {change.verb for change in (await second).changes} == {"change"}
