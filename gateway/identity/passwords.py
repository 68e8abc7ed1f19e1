"""Passwords: argon2id in separate threads, so that signing in does not slow other requests."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from gateway import statuses
from gateway.edge import addresses
from gateway.identity.fair_queue import FairQueue, QueueFull
from gateway.values import Rejection

T = TypeVar("T")

MEMORY = 19 * 1024
"""KiB. With two passes and one lane, the minimum of OWASP's Password Storage Cheat Sheet."""

PASSES = 2
MAX_WAITING = 64
"""Passwords that may wait for a thread, at about 25 ms each; more are refused."""

_NICENESS = 10


class Passwords:
    """Hashes and verifies passwords in a pool of threads.

    The threads are shared by turns among the clients' `address`es, so that one address with many
    log-ins delays no other. Who does not get a thread before `deadline` (in seconds of the event
    loop's clock) is refused.
    """

    def __init__(self, threads: int = 1) -> None:
        self._hasher = argon2.PasswordHasher(PASSES, MEMORY, 1)
        self._threads = ThreadPoolExecutor(threads, "password", _lower_priority)
        self._queue = FairQueue(free=threads, max_waiting=MAX_WAITING)

    async def hash(
        self, password: str, *, address: str = addresses.UNKNOWN, deadline: float | None = None
    ) -> str:
        """The hash to store, with its salt and parameters. Raises Rejection as `verify` does."""
        return await self._run(lambda: self._hasher.hash(password), address, deadline)

    async def verify(
        self,
        stored: str,
        password: str,
        *,
        address: str = addresses.UNKNOWN,
        deadline: float | None = None,
    ) -> bool:
        """Whether a password matches a stored hash.

        Raises Rejection: service-unavailable when too many wait, or the wait takes too long.
        """
        return await self._run(lambda: self._verify(stored, password), address, deadline)

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash has other parameters than those used now, and should be replaced."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T], address: str, deadline: float | None) -> T:
        try:
            async with asyncio.timeout_at(deadline):
                await self._queue.enter(addresses.client_network(address))
        except (QueueFull, TimeoutError) as error:
            raise Rejection(
                statuses.SERVICE_UNAVAILABLE, "Too many passwords are being checked."
            ) from error
        # Not ended by a cancelled call: a thread cannot be interrupted, and is taken until it ends.
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(lambda _: self._queue.leave())
        return await asyncio.shield(running)

    def close(self) -> None:
        """Stop the threads; waiting work is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lower_priority() -> None:
    """Let the event loop run first. On Linux each thread has its own niceness."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
