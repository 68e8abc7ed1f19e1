"""Many concurrent applies: one after the other, each atomic; outdated pinned plans are refused."""

import asyncio
from pathlib import Path
from typing import Any

from support.harness import execute, on
from support.manifests import Routes, applied, desired, migrated

from gateway.manifest.apply import Applied, Author, apply_all
from gateway.manifest.check import Desired
from gateway.manifest.dump import dump
from gateway.manifest.plan import MovedError
from gateway.manifest.records.change import Change
from gateway.manifest.rollback import rollback
from gateway.registry import store
from gateway.registry.records import record_of
from gateway.registry.revision import EMPTY
from gateway.registry.table import Table

MANY = 20


def titled(folder: Path, number: int, namespace: str = "test") -> Desired:
    """A namespace whose records all have the number of their apply as title."""
    routes: Routes = {f"{namespace}s.a{n}": {"title": f"T{number}"} for n in range(3)}
    return desired(folder, routes, namespace)


async def revisions(url: str) -> list[int]:
    return [row["id"] for row in await execute(url, "select id from gateway.revisions order by id")]


async def titles(url: str) -> set[str]:
    rows = await execute(url, "select record ->> 'title' as title from gateway.routes")
    return {row["title"] for row in rows}


async def test_concurrent_applies_have_revisions_without_a_gap(
    registry: str, tmp_path: Path
) -> None:
    states = [titled(tmp_path, number) for number in range(MANY)]
    done = await asyncio.gather(*(applied(registry, state) for state in states))
    assert sorted(outcome.revision for outcome in done) == await revisions(registry)
    assert await revisions(registry) == list(range(1, MANY + 1))
    last = max(range(MANY), key=lambda number: done[number].revision)
    assert await titles(registry) == {f"T{last}"}


async def test_concurrent_applies_each_start_from_the_result_of_the_previous_one(
    registry: str, tmp_path: Path
) -> None:
    states = [titled(tmp_path, number) for number in range(MANY)]
    done = await asyncio.gather(*(applied(registry, state) for state in states))
    done.sort(key=lambda outcome: outcome.revision)
    before: dict[str, Any] = {}
    for outcome in done:
        for change in outcome.changes:
            assert change.before == before.get(change.name)
            before[change.name] = change.after


async def test_concurrent_pinned_applies_have_one_winner_and_refuse_the_others(
    registry: str, tmp_path: Path
) -> None:
    base = (await applied(registry, titled(tmp_path, MANY))).identity
    states = [titled(tmp_path, number) for number in range(MANY)]
    done = await asyncio.gather(
        *(applied(registry, state, base=base) for state in states), return_exceptions=True
    )
    winners = [number for number, result in enumerate(done) if isinstance(result, Applied)]
    losers = [result for result in done if isinstance(result, MovedError)]
    assert (len(winners), len(losers)) == (1, MANY - 1)
    assert all("which is now at revision 2" in str(error) for error in losers)
    assert await revisions(registry) == [1, 2]
    assert await titles(registry) == {f"T{winners[0]}"}


async def test_concurrent_pinned_applies_of_different_namespaces_all_succeed(
    registry: str, tmp_path: Path
) -> None:
    states = [titled(tmp_path, 0, f"n{number}") for number in range(MANY)]
    done = await asyncio.gather(*(applied(registry, state, base=EMPTY) for state in states))
    assert sorted(outcome.revision for outcome in done) == list(range(1, MANY + 1))


async def test_concurrent_applies_of_two_namespaces_are_atomic(
    registry: str, tmp_path: Path
) -> None:
    def both(number: int) -> list[Desired]:
        return [titled(tmp_path, number, "a"), titled(tmp_path, number, "b")]

    states = [both(number) for number in range(MANY)]
    watching = asyncio.create_task(watch(registry))
    await asyncio.gather(
        *(on(registry, lambda db, s=state: apply_all(db, s, Author("tests"))) for state in states)  # type: ignore[misc]
    )
    assert await revisions(registry) == list(range(1, 2 * MANY + 1))
    assert not watching.done(), "half an apply was seen"
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def watch(url: str) -> None:
    """Check in a loop that no reader sees one namespace of an apply without the other."""

    async def look(connection: Any) -> None:
        while True:
            table = await store.load(connection)
            assert len({route.title for route in table.routes.values()}) <= 1
            assert table.revision % 2 == 0

    await on(url, look)


def contents(table: Table) -> Any:
    return table.revision, {route.name: record_of(route) for route in table.routes.values()}


async def test_concurrent_catch_up_ends_in_the_state_of_a_load(
    registry: str, tmp_path: Path
) -> None:
    async def follow(connection: Any) -> Table:
        table = await store.load(connection)
        while table.revision < MANY:
            table = await store.catch_up(connection, table)
        return table

    following = asyncio.create_task(on(registry, follow))
    states = [titled(tmp_path, number, f"n{number % 3}") for number in range(MANY)]
    await asyncio.gather(*(applied(registry, state) for state in states))
    async with asyncio.timeout(20):
        assert contents(await following) == contents(await on(registry, store.load))


async def test_concurrent_applies_and_rollbacks_leave_an_applied_state(
    registry: str, tmp_path: Path
) -> None:
    dumps = []
    for number in range(3):
        await applied(registry, titled(tmp_path, number))
        dumps.append(await on(registry, dump))
    back = [
        on(registry, lambda db, r=revision: rollback(db, r, Author("tests")))  # type: ignore[misc]
        for revision in (1, 2, 3) * 3
    ]
    forth = [applied(registry, titled(tmp_path, number)) for number in (0, 1, 2) * 3]
    await asyncio.gather(*back, *forth)
    numbers = await revisions(registry)
    assert numbers == list(range(1, len(numbers) + 1))
    assert await on(registry, dump) in dumps


async def test_apply_waits_for_the_previous_apply_and_never_blocks_readers(
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
