"""The principals of tokens: read from PostgreSQL, cached in the worker for a few seconds."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from gateway.database.errors import DatabaseError, DatabaseUnavailable, has_timed_out
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.sql import load_queries
from gateway.identity import tokens
from gateway.identity.breaker import Breaker
from gateway.identity.token_cache import (
    ALL,
    Principal,
    TokenCache,
    notice_keys,
)
from gateway.values import Application, Session

CHANNEL = "gateway_identity"
LOOKUP_TIMEOUT = 2.0
MIN_LOOKUP_TIMEOUT = 0.1
"""Seconds that a look-up gets even if the call's deadline has passed, as after a slow body."""

STALE_DELAY = 0.25
"""Seconds that a look-up gets before a known token is served from memory meanwhile."""

BREAKER_PAUSE = 1.0
"""Seconds without look-ups after one was late, as behind a locked table."""

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

T = TypeVar("T")


class _Lookup(NamedTuple):
    """A query that callers of one token share; `begun` is the time of the loop's clock."""

    task: asyncio.Task[Principal | None]
    begun: float


class TokenStore:
    """The principals of tokens, and the slugs of applications.

    `clock` gives the monotonic seconds of the cache. `sources` counts the answers since the
    process began, by their source.
    """

    def __init__(self, pool: Pool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.pool = pool
        self.cache = TokenCache(clock)
        self.sources = {"cache": 0, "database": 0, "stale": 0}
        self._lookups: dict[bytes, _Lookup] = {}
        # Of sessions and of applications: a lock on the tables of one does not delay the other.
        self._breakers = {
            is_session: Breaker(
                pause=BREAKER_PAUSE, attempt=BREAKER_PAUSE + LOOKUP_TIMEOUT, clock=clock
            )
            for is_session in (True, False)
        }

    def remembered(self, token: str) -> Principal | None:
        """The principal of a token, if the cache has a fresh one."""
        principal = self.cache.fresh(token)
        if principal:
            self.sources["cache"] += 1
        return principal

    def is_guess(self, token: str) -> bool:
        """Whether this may be a guess: it has the form of a token, and the cache has never seen it.

        An app that keeps using a revoked token, or sends no token at all, does not guess.
        """
        return tokens.is_token(token) and not self.cache.has_seen(tokens.digest(token))

    def is_loading(self, token: str) -> bool:
        """Whether the token is being looked up; another call with it shares the answer."""
        return tokens.digest(token) in self._lookups

    async def find(self, token: str, deadline: float = math.inf) -> Principal | None:
        """The principal of a token according to the database; None for an unknown token.

        While the database is unavailable or late, the principal of its last answer is used for
        60 s. `deadline` is a time of the loop's clock. Raises DatabaseUnavailable.
        """
        if not tokens.is_token(token):
            return None
        digest = tokens.digest(token)
        if self.cache.is_unknown(digest):
            self.sources["cache"] += 1
            return None
        try:
            return await self._look_up_or_recall(token, digest, deadline)
        except DatabaseUnavailable:
            if principal := self.cache.within_grace(digest):
                self.sources["stale"] += 1
                return principal
            raise

    async def _look_up_or_recall(
        self, token: str, digest: bytes, deadline: float
    ) -> Principal | None:
        """The database's answer; of a known token the last one, if the new one is late."""
        if not self._breakers[_is_session(token)].admits():
            raise DatabaseUnavailable("the look-ups of tokens are late")
        lookup = self._shared_lookup(token, digest)
        deadline = max(deadline, asyncio.get_running_loop().time() + MIN_LOOKUP_TIMEOUT)
        if self.cache.within_grace(digest):
            await _wait(lookup.task, min(lookup.begun + STALE_DELAY, deadline))
            # Asked again: a notice may have dropped the entry meanwhile.
            recalled = None if lookup.task.done() else self.cache.within_grace(digest)
            if recalled:
                self.sources["stale"] += 1
                return recalled
        await _wait(lookup.task, deadline)
        if not lookup.task.done():
            raise DatabaseUnavailable("the look-up of a token is late")
        principal = lookup.task.result()
        self.sources["database"] += 1
        return principal

    def _shared_lookup(self, token: str, digest: bytes) -> _Lookup:
        """A query of the database; concurrent look-ups of one token share it.

        It goes on if its callers leave, so that its answer serves the next call.
        """
        lookup = self._lookups.get(digest)
        if lookup is None:
            loop = asyncio.get_running_loop()
            lookup = _Lookup(loop.create_task(self._look_up(token, digest)), loop.time())
            self._lookups[digest] = lookup
            lookup.task.add_done_callback(lambda task: self._end_lookup(digest, task))
        return lookup

    def _end_lookup(self, digest: bytes, task: asyncio.Task[Principal | None]) -> None:
        self._lookups.pop(digest, None)
        if not task.cancelled():
            # Retrieved even if every caller has left; otherwise asyncio logs it as lost.
            task.exception()

    async def _look_up(self, token: str, digest: bytes) -> Principal | None:
        asked_at = self.cache.clock()
        is_session = _is_session(token)
        load = self._session if is_session else self._application
        self.cache.begin_load(digest)
        try:
            principal = await self._in_time(load(digest), self._breakers[is_session])
        finally:
            notices = self.cache.end_load(digest)
        if principal is None:
            self.cache.store_unknown(digest, asked_at)
        elif notices.isdisjoint((*notice_keys(principal), ALL)):
            self.cache.store(digest, principal, asked_at)
        else:
            self.cache.forget(digest)
        return principal

    async def _in_time(self, answer: Awaitable[T], breaker: Breaker) -> T:
        """An answer within `LOOKUP_TIMEOUT`, including the wait for a connection."""
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                found = await answer
        except TimeoutError as error:
            breaker.open()
            raise DatabaseUnavailable("the look-up of a token took too long") from error
        except DatabaseUnavailable as error:
            # After an attempt that failed for another reason, the next one need not wait long.
            if has_timed_out(error) or breaker.is_open:
                breaker.open()
            raise
        except DatabaseError as error:
            breaker.close()
            raise DatabaseUnavailable(f"a token cannot be looked up: {error.cause}") from error
        breaker.close()
        return found

    async def _application(self, digest: bytes) -> Application | None:
        row = await self._database().fetchrow(_SQL["application_by_token"], digest)
        return Application(**{**row, "routes": tuple(row["routes"])}) if row else None

    async def _session(self, digest: bytes) -> Session | None:
        row = await self._database().fetchrow(_SQL["session_by_token"], digest)
        return Session.of(row) if row else None

    def _database(self) -> Database:
        return Database.within(self.pool, LOOKUP_TIMEOUT)


def _is_session(token: str) -> bool:
    return token.startswith(tokens.SESSION_PREFIX)


async def _wait(task: asyncio.Task[T], until: float) -> None:
    """Wait until the task is done, or for a time of the loop's clock; the task goes on."""
    seconds = until - asyncio.get_running_loop().time()
    if not task.done():
        await asyncio.wait({task}, timeout=None if math.isinf(seconds) else max(0.0, seconds))
