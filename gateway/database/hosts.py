"""Opens a connection to one of several hosts, which it tries side by side.

The driver tries one host after the other, so that one that swallows packets costs the whole time.
Here each next host starts a moment later than the one before, as browsers do ("happy eyeballs",
RFC 8305), and the first that suits wins.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias, TypeVar

STAGGER = 0.1
"""Seconds between the starts of two hosts, unless the earlier one has failed already."""

T = TypeVar("T")

Open: TypeAlias = Callable[[str], Coroutine[Any, Any, T]]

_last_good: dict[tuple[str, ...], str] = {}
"""For each list of hosts, the one that suited last; all pools of a process know it."""


class NoHostError(Exception):
    """No host suits; `errors` has the error of each, in the order of the hosts."""

    def __init__(self, errors: Sequence[BaseException | None]) -> None:
        super().__init__("no host suits")
        self.errors = errors


async def first_of(hosts: Sequence[str], open_one: Open[T], discard: Callable[[T], None]) -> T:
    """What `open_one` opens for the first host that suits; what opens later is discarded.

    Raises NoHostError if no host suits.
    """
    key = tuple(hosts)
    attempts: dict[asyncio.Task[T], str] = {}
    # The last good one is first; the others keep their order.
    waiting = sorted(key, key=lambda host: host != _last_good.get(key))
    try:
        while True:
            if waiting:
                host = waiting.pop(0)
                attempts[asyncio.create_task(open_one(host))] = host
            winner = await _wait([*attempts], STAGGER if waiting else None)
            if winner:
                _last_good[key] = attempts.pop(winner)
                return winner.result()
            if not waiting and all(task.done() for task in attempts):
                raise _failures(key, attempts)
    finally:
        for task in attempts:
            task.cancel()
            task.add_done_callback(lambda done: _discard(done, discard))


async def _wait(
    attempts: Sequence[asyncio.Task[T]], seconds: float | None
) -> asyncio.Task[T] | None:
    """Wait until one attempt ends, at most so many seconds; return one that succeeded."""
    running = [task for task in attempts if not task.done()]
    if running:
        await asyncio.wait(running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return next((task for task in attempts if _succeeded(task)), None)


def _succeeded(task: asyncio.Task[T]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _failures(hosts: Sequence[str], attempts: dict[asyncio.Task[T], str]) -> NoHostError:
    errors = {host: task.exception() for task, host in attempts.items()}
    return NoHostError([errors[host] for host in hosts])


def _discard(task: asyncio.Task[T], discard: Callable[[T], None]) -> None:
    if _succeeded(task):
        discard(task.result())
