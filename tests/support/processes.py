"""Processes that a test kills: dispatchers of the outbox, and workers that die within a call.

As a program it reads a line of JSON for each process, forks, and prints the new process id. The
next line is `kill` or `wait`; once the process has died, the program prints the signal that ended
it. Forking is quick, since all modules are already imported.
"""

import asyncio
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import httpx2
import orjson
import uvloop

from gateway.database.pool import Pool
from gateway.outbox import dispatcher
from gateway.outbox.dispatcher import Outbox
from gateway.outbox.mandrill import Mandrill
from gateway.serve.worker import Worker
from gateway.settings import Settings
from support.harness import IMPORT_PATH

if TYPE_CHECKING:
    _Base: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    _Base = asyncpg.Connection

POINTS = {
    "claim of the key": "pg_try_advisory_xact_lock",
    "look for the key": "gateway.find_answers(",
    "rows": "with calls as materialized (",
    "answer kept": "gateway.store_answers(",
    "commit": "COMMIT;",
    "claim of the mail": "set attempts = 1",
    "mail": "",
    "mail noted": "set state = 'sent'",
}
"""Points of a call at which to die, by a part of the SQL; `mail` is the request to Mandrill."""

WHEN = ("before", "during", "after")


class KillableProcesses:
    """Starts and ends processes through the program, at most one at a time."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "support.processes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": IMPORT_PATH},
            text=True,
        )

    async def begin(self, what: str, *args: object) -> int:
        """Start a process; return its id."""
        return await self._send(orjson.dumps([what, *args]).decode())

    async def end(self, how: str) -> int:
        """Kill the process, or `wait` until it dies; return the signal that ended it."""
        return await self._send(how)

    def close(self) -> None:
        """End the program."""
        self._program.communicate(timeout=20)
        assert self._program.returncode == 0

    async def _send(self, line: str) -> int:
        return await asyncio.to_thread(self._send_line, line)

    def _send_line(self, line: str) -> int:
        assert self._program.stdin
        assert self._program.stdout
        self._program.stdin.write(f"{line}\n")
        self._program.stdin.flush()
        return int(self._program.stdout.readline())


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _die(when: str, run: Callable[[], Awaitable[Any]]) -> Any:
    """Kill this process before, during or after some work."""
    if when == "before":
        _kill()
    if when == "during":
        # Runs once the statement is sent and the work waits for its answer.
        asyncio.get_running_loop().call_soon(_kill)
    result = await run()
    _kill()
    return result


class FatalConnection(_Base):
    """A connection that kills its process at a statement."""

    at = ""
    when = ""
    has_claimed = False

    async def _run(self, method: str, args: Any, options: Any) -> Any:
        run = partial(getattr(super(), method), *args, **options)
        query = args[0]
        # A worker also commits for itself; only the commit of the call counts.
        is_other_commit = query == POINTS["commit"] and not self.has_claimed
        self.has_claimed |= POINTS["claim of the key"] in query
        is_fatal = self.at and self.at in query and not is_other_commit
        return await (_die(self.when, run) if is_fatal else run())

    async def execute(self, *args: Any, **options: Any) -> Any:
        return await self._run("execute", args, options)

    async def fetch(self, *args: Any, **options: Any) -> Any:
        return await self._run("fetch", args, options)

    async def fetchrow(self, *args: Any, **options: Any) -> Any:
        return await self._run("fetchrow", args, options)

    async def fetchval(self, *args: Any, **options: Any) -> Any:
        return await self._run("fetchval", args, options)


class _MortalTransport:
    """A transport whose process dies when it sends."""

    def __init__(self, mandrill: Mandrill, when: str) -> None:
        self._mandrill = mandrill
        self._when = when

    async def send(self, message_id: str, payload: Mapping[str, Any]) -> str:
        sent: str = await _die(self._when, lambda: self._mandrill.send(message_id, payload))
        return sent


async def call(settings: dict[str, str], point: str, when: str, request: dict[str, Any]) -> None:
    """Serve one request, and die at a point of the call."""
    real = asyncpg.connect
    asyncpg.connect = partial(real, connection_class=FatalConnection)  # type: ignore[assignment]
    worker = Worker(Settings.load(settings))
    if point == "mail":
        worker.outbox._transports = {"mail": _MortalTransport(worker.mandrill, when)}
    transport = httpx2.ASGITransport(worker.app)
    async with (
        worker.running(),
        httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        FatalConnection.at, FatalConnection.when = POINTS[point], when
        answer = await http.request(**request)
    raise AssertionError(f"the process did not die and answered {answer.text}")


async def dispatch(url: str, mandrill: str, key: str, lease: float) -> None:
    """Send the messages that are due, until killed."""
    dispatcher.LEASE = lease
    dispatcher.POLL_INTERVAL = dispatcher.IDLE_INTERVAL = 0.02
    transports = {"mail": Mandrill(key, mandrill, threads=dispatcher.MAX_RETRIES_IN_FLIGHT)}
    await Outbox(Pool(url, 2), transports).run()


_WORKS: dict[str, Callable[..., Any]] = {"call": call, "dispatch": dispatch}


def _begin(line: str) -> int:
    """Fork a process that runs the function named in a line; return its id."""
    name, *args = orjson.loads(line)
    child = os.fork()
    if child == 0:
        try:
            uvloop.run(_WORKS[name](*args))
        except BaseException:  # noqa: BLE001 - its parent must not go on in its place
            traceback.print_exc()
        os._exit(1)
    return child


def main() -> None:
    for line in sys.stdin:
        child = _begin(line)
        print(child, flush=True)  # noqa: T201
        # An empty line means that the test has ended.
        if sys.stdin.readline() != "wait\n":
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
