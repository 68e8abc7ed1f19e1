"""Passwords: argon2id in threads of their own, so that signing in slows nobody else down."""

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
from gateway.values import Rejection

T = TypeVar("T")

MEMORY = 19 * 1024
"""KiB. With two passes and one lane what OWASP's Password Storage Cheat Sheet asks for at least."""

PASSES = 2
MAX_WAITING = 64
"""Passwords that wait for a thread, at some 25 ms each; a further one is refused."""

_NICE = 10


class Passwords:
    """Hashes and verifies with so many threads."""

    def __init__(self, threads: int = 1) -> None:
        self._hasher = argon2.PasswordHasher(PASSES, MEMORY, 1)
        self._threads = ThreadPoolExecutor(threads, "password", _give_way)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A hash to be stored, with its salt and parameters. Raises Rejection as `verify` does."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str, password: str) -> bool:
        """Whether a password is the one of a stored hash.

        Raises Rejection: service-unavailable when too many wait.
        """
        return await self._run(lambda: self._verify(stored, password))

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Rejection(statuses.SERVICE_UNAVAILABLE, "Too many passwords are being checked.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _give_way() -> None:
    """Let the event loop go first. On Linux a thread has a niceness of its own."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
