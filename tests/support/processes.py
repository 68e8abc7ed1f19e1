"""Processes that are killed: dispatchers of the outbox, and workers that die within a call.

As a program it reads a line of JSON for each, forks, and prints the number of the new process; the
next line, `kill` or `wait`, is answered with the signal that it died of, once it has. Forking is
quick: what a process needs is imported already.
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
    "look for the key": "select i.key, i.fingerprint",
    "rows": "with calls as materialized (",
    "answer kept": "insert into gateway.idempotency",
    "commit": "COMMIT;",
    "claim of the mail": "set attempts = 1",
    "mail": "",
    "mail noted": "set state = 'sent'",
}
"""Where a call may die, by what its statement says; `mail` is what Mandrill is asked."""

WHEN = ("before", "during", "after")


class Mortals:
    """The program, as a test uses it: at most one of its processes at a time."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "support.processes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": IMPORT_PATH},
            text=True,
        )

    async def begin(self, what: str, *args: object) -> int:
        """Begin a process; answer its number."""
        return await self._ask(orjson.dumps([what, *args]).decode())

    async def end(self, how: str) -> int:
        """The signal that it died of; `how` is `kill`, or `wait` if it dies of itself."""
        return await self._ask(how)

    def close(self) -> None:
        """End the program."""
        self._program.communicate(timeout=20)
        assert self._program.returncode == 0

    async def _ask(self, line: str) -> int:
        return await asyncio.to_thread(self._say, line)

    def _say(self, line: str) -> int:
        assert self._program.stdin
        assert self._program.stdout
        self._program.stdin.write(f"{line}\n")
        self._program.stdin.flush()
        return int(self._program.stdout.readline())


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _dying(when: str, run: Callable[[], Awaitable[Any]]) -> Any:
    """Die before, during or after something."""
    if when == "before":
        _kill()
    if when == "during":
        # Runs when the statement is on its way and its answer is waited for.
        asyncio.get_running_loop().call_soon(_kill)
    done = await run()
    _kill()
    return done


class Mortal(_Base):
    """A connection that dies with its process at a statement."""

    at = ""
    when = ""
    has_claimed = False

    async def _through(self, method: str, args: Any, options: Any) -> Any:
        run = partial(getattr(super(), method), *args, **options)
        query = args[0]
        # What a worker commits for itself is not what the call commits.
        is_other = query == POINTS["commit"] and not self.has_claimed
        self.has_claimed |= POINTS["claim of the key"] in query
        is_it = self.at and self.at in query and not is_other
        return await (_dying(self.when, run) if is_it else run())

    async def execute(self, *args: Any, **options: Any) -> Any:
        return await self._through("execute", args, options)

    async def fetch(self, *args: Any, **options: Any) -> Any:
        return await self._through("fetch", args, options)

    async def fetchrow(self, *args: Any, **options: Any) -> Any:
        return await self._through("fetchrow", args, options)

    async def fetchval(self, *args: Any, **options: Any) -> Any:
        return await self._through("fetchval", args, options)


class _MortalTransport:
    """A transport whose process dies when it sends."""

    def __init__(self, mandrill: Mandrill, when: str) -> None:
        self._mandrill = mandrill
        self._when = when

    async def send(self, message_id: str, payload: Mapping[str, Any]) -> str:
        sent: str = await _dying(self._when, lambda: self._mandrill.send(message_id, payload))
        return sent


async def call(settings: dict[str, str], point: str, when: str, request: dict[str, Any]) -> None:
    """Serve one request, and die at a point of it."""
    real = asyncpg.connect
    asyncpg.connect = partial(real, connection_class=Mortal)  # type: ignore[assignment]
    worker = Worker(Settings.load(settings))
    if point == "mail":
        worker.outbox._transports = {"mail": _MortalTransport(worker.mandrill, when)}
    transport = httpx2.ASGITransport(worker.app)
    async with (
        worker.running(),
        httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        Mortal.at, Mortal.when = POINTS[point], when
        answer = await http.request(**request)
    raise AssertionError(f"it lives and answers {answer.text}")


async def dispatch(url: str, mandrill: str, key: str, lease: float) -> None:
    """Send what is due, until killed."""
    dispatcher.LEASE, dispatcher.POLL_INTERVAL = lease, 0.02
    transports = {"mail": Mandrill(key, mandrill, threads=dispatcher.MAX_RETRIES_IN_FLIGHT)}
    await Outbox(Pool(url, 2), transports).run()


_WORKS: dict[str, Callable[..., Any]] = {"call": call, "dispatch": dispatch}


def _begin(line: str) -> int:
    """Do in a process of its own what a line says; answer its number."""
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
        # No line is the end of the test.
        if sys.stdin.readline() != "wait\n":
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
