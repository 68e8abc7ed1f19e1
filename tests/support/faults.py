"""An apply that is interrupted at any of its statements.

As a program it kills itself: `python -m support.faults ADDRESS MANIFEST` reads lines `before N` or
`during N`. For each it forks an apply that dies at its N-th statement, and prints the signal.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest.mock import patch

import asyncpg

from gateway.database.connect import connect
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import Desired, check

if TYPE_CHECKING:
    _Base: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    _Base = asyncpg.Connection

Hook: TypeAlias = Callable[[int, Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Called with the number of a statement and a function that runs it."""


class HookedConnection(_Base):
    """A connection that passes each statement, also BEGIN and COMMIT, to a hook."""

    hook: Hook | None = None
    count = 0

    async def _through(self, method: str, args: Any, options: Any) -> Any:
        run = partial(getattr(super(), method), *args, **options)
        if self.hook is None:
            return await run()
        self.count += 1
        return await self.hook(self.count, run)

    async def execute(self, *args: Any, **options: Any) -> Any:
        return await self._through("execute", args, options)

    async def executemany(self, *args: Any, **options: Any) -> Any:
        return await self._through("executemany", args, options)

    async def fetch(self, *args: Any, **options: Any) -> Any:
        return await self._through("fetch", args, options)

    async def fetchrow(self, *args: Any, **options: Any) -> Any:
        return await self._through("fetchrow", args, options)

    async def fetchval(self, *args: Any, **options: Any) -> Any:
        return await self._through("fetchval", args, options)

    async def copy_records_to_table(self, *args: Any, **options: Any) -> Any:
        return await self._through("copy_records_to_table", args, options)


async def run_hooked(
    url: str, work: Callable[[Any], Awaitable[Any]], make_hook: Callable[[HookedConnection], Hook]
) -> Any:
    """Run some work on a new hooked connection."""
    real = asyncpg.connect
    with patch.object(asyncpg, "connect", partial(real, connection_class=HookedConnection)):
        connection: Any = await connect(url)
    connection.hook = make_hook(connection)
    try:
        return await work(connection)
    finally:
        connection.terminate()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at(mode: str, number: int) -> Hook:
    async def hook(count: int, run: Callable[[], Awaitable[Any]]) -> Any:
        if count == number:
            if mode == "before":
                _kill()
            # Runs after the statement is sent, while its answer is awaited.
            asyncio.get_running_loop().call_soon(_kill)
        return await run()

    return hook


def _apply_and_die(url: str, state: Desired, mode: str, number: int) -> None:
    """Apply in a fork that dies; starting a new Python each time would take a second."""
    child = os.fork()
    if child == 0:
        try:
            work = partial(apply, desired=state, author=Author("tests"), prune=True)
            asyncio.run(run_hooked(url, work, lambda _: _kill_at(mode, number)))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)  # noqa: T201


def main() -> None:
    url, manifest = sys.argv[1:]
    [state] = check(Path(manifest))
    for line in sys.stdin:
        mode, number = line.split()
        _apply_and_die(url, state, mode, int(number))


if __name__ == "__main__":
    main()
