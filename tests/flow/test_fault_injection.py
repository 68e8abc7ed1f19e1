"""An apply that is interrupted at any statement leaves the old registry or the new one."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from support.faults import Hook, HookedConnection, run_hooked
from support.harness import IMPORT_PATH, on
from support.manifests import Routes, applied, desired

from gateway.database.connect import Connection, connect
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import Desired
from gateway.manifest.dump import dump
from gateway.manifest.rollback import rollback

OLD: Routes = {"things.a": {}, "things.b": {}, "parts.a": {}}
NEW: Routes = {
    "things.a": {"title": "New"},
    "things.c": {"params": {"title": "A schema of its own"}},
    "others.a": {},
}
Database: TypeAlias = Callable[[Any], Awaitable[Any]]
CUT = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError)


@pytest.fixture
async def killer(registry: str) -> AsyncIterator[Connection]:
    """A connection that terminates the backends of others."""
    connection = await connect(registry)
    yield connection
    await connection.close()


class States:
    """The dumps before and after some work, and the work that leads back."""

    def __init__(self, url: str, connection: Connection, work: Database, back: Database) -> None:
        self.url = url
        self.connection = connection
        self.work = work
        self.back = back
        self.old = ""
        self.new = ""

    async def prepare(self) -> None:
        """Dump both states, and return to the old one."""
        self.old = await dump(self.connection)
        await self.work(self.connection)
        self.new = await dump(self.connection)
        assert self.new != self.old
        await self.back(self.connection)
        assert await self.is_old()

    async def is_old(self) -> bool:
        """Whether the registry is in the old state; checks that otherwise it is in the new one."""
        text = await dump(self.connection)
        assert text in {self.old, self.new}
        [row] = await self.connection.fetch(HISTORY)
        assert row["newest"] == row["changed"] == row["revisions"], "the history is torn"
        return bool(text == self.old)

    async def assert_usable(self) -> None:
        """Check that the work and the way back still succeed."""
        async with asyncio.timeout(10):
            await self.work(self.connection)
            assert not await self.is_old()
            await self.back(self.connection)
        assert await self.is_old()


HISTORY = """
select max(r.id) as newest, max(c.revision) as changed, count(distinct r.id) as revisions
from gateway.revisions r full join gateway.changes c on c.revision = r.id
"""


def apply_of(state: Desired) -> Database:
    return partial(apply, desired=state, author=Author("tests"), prune=True)


@pytest.fixture(params=["an apply", "a rollback"])
async def states(
    request: pytest.FixtureRequest, registry: str, tmp_path: Path, killer: Connection
) -> States:
    """The registry before an apply, or before a rollback."""
    await applied(registry, desired(tmp_path, OLD))
    forth = apply_of(desired(tmp_path, NEW))
    back = partial(rollback, revision=1, author=Author("tests"))
    if request.param == "a rollback":
        await on(registry, forth)
        forth, back = back, forth
    prepared = States(registry, killer, forth, back)
    await prepared.prepare()
    return prepared


only_apply = pytest.mark.parametrize("states", ["an apply"], indirect=True)


async def statements(states: States) -> int:
    """The number of statements of the work, with BEGIN and COMMIT."""
    counted = 0

    async def count(number: int, run: Callable[[], Awaitable[Any]]) -> Any:
        nonlocal counted
        counted = number
        return await run()

    await run_hooked(states.url, states.work, lambda _: count)
    await states.back(states.connection)
    return counted


def cut_at(killer: Connection, mode: str, at: int) -> Callable[[HookedConnection], Hook]:
    """A hook that terminates the backend before, during or after a statement."""

    def make(connection: HookedConnection) -> Hook:
        async def cut() -> None:
            await killer.execute("select pg_terminate_backend($1, 5000)", pid)

        async def hook(number: int, run: Callable[[], Awaitable[Any]]) -> Any:
            if number != at:
                return await run()
            if mode == "before":
                await cut()
                return await run()
            if mode == "during":
                results: tuple[Any, ...] = await asyncio.gather(
                    run(), cut(), return_exceptions=True
                )
                if isinstance(results[0], BaseException):
                    raise results[0]
                return results[0]
            result = await run()
            await cut()
            return result

        pid = connection.get_server_pid()
        return hook

    return make


@pytest.mark.parametrize("mode", ["before", "during"])
async def test_apply_with_a_connection_cut_at_any_statement_leaves_the_old_or_new_state(
    states: States, killer: Connection, mode: str
) -> None:
    last = await statements(states)
    assert last > 10
    for at in range(1, last + 1):
        try:
            await run_hooked(states.url, states.work, cut_at(killer, mode, at))
            is_done = True
        except CUT:
            is_done = False
        is_old = await states.is_old()
        where = f"cut {mode} statement {at} of {last}"
        assert not (is_done and is_old), f"{where}: reported as done, but the state is old"
        if mode == "before" or at < last:
            assert is_old, f"{where}: the state is new before the commit"
        if not is_old:
            await states.back(states.connection)
    await states.assert_usable()


async def test_apply_with_a_connection_cut_after_the_commit_leaves_the_new_state(
    states: States, killer: Connection
) -> None:
    last = await statements(states)
    done = await run_hooked(states.url, states.work, cut_at(killer, "after", last))
    assert done
    assert not await states.is_old()
    await states.assert_usable()


async def only_connection(connection: Connection) -> None:
    """Wait until the server has noticed that the other connections died."""
    others = (
        "select from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(10):
        while await connection.fetch(others):  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.002)


@only_apply
async def test_apply_killed_at_any_statement_leaves_the_old_or_new_state(
    states: States, killer: Connection, tmp_path: Path
) -> None:
    last = await statements(states)
    dying = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "support.faults", states.url),
        str(tmp_path / "test.yaml"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": IMPORT_PATH},
    )
    assert dying.stdin
    assert dying.stdout
    for mode in ("before", "during"):
        for at in range(1, last + 1):
            dying.stdin.write(f"{mode} {at}\n".encode())
            assert int(await dying.stdout.readline()) == signal.SIGKILL
            await only_connection(killer)
            where = f"killed {mode} statement {at} of {last}"
            is_old = await states.is_old()
            if mode == "before" or at < last:
                assert is_old, f"{where}: the state is new before the commit"
            if not is_old:
                await states.back(states.connection)
    await states.assert_usable()
    dying.stdin.close()
    assert await dying.wait() == 0


@only_apply
async def test_apply_that_waits_for_the_lock_of_a_dying_apply_continues(
    states: States, killer: Connection
) -> None:
    entered = asyncio.Event()

    def make(connection: HookedConnection) -> Hook:
        cut = cut_at(killer, "before", 5)(connection)

        async def hook(number: int, run: Callable[[], Awaitable[Any]]) -> Any:
            if number == 5:
                entered.set()
                await asyncio.sleep(0.1)
            return await cut(number, run)

        return hook

    dying = asyncio.create_task(run_hooked(states.url, states.work, make))
    await entered.wait()
    waiting = asyncio.create_task(on(states.url, states.work))
    with pytest.raises(CUT):
        await dying
    await waiting
    assert not await states.is_old()
