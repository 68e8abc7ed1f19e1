"""The principals of tokens: read from PostgreSQL, cached in the worker for a few seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from gateway.database.errors import DatabaseError, DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.sql import load_queries
from gateway.identity import tokens
from gateway.identity.token_cache import (
    ALL,
    Principal,
    TokenCache,
    notice_keys,
)
from gateway.values import Application, Session

CHANNEL = "gateway_identity"
LOOKUP_TIMEOUT = 2.0

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

T = TypeVar("T")


class TokenStore:
    """The principals of tokens, and the slugs of applications.

    `clock` gives the monotonic seconds of the cache.
    """

    def __init__(self, pool: Pool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.pool = pool
        self.cache = TokenCache(clock)
        self._lookups: dict[bytes, asyncio.Task[Principal | None]] = {}

    def remembered(self, token: str) -> Principal | None:
        """The principal of a token, if the cache has a fresh one."""
        return self.cache.fresh(tokens.digest(token))

    def is_guess(self, token: str) -> bool:
        """Whether this may be a guess: it has the form of a token, and the cache has never seen it.

        An app that keeps using a revoked token, or sends no token at all, does not guess.
        """
        return tokens.is_token(token) and not self.cache.has_seen(tokens.digest(token))

    async def find(self, token: str) -> Principal | None:
        """The principal of a token according to the database; None for an unknown token.

        While the database is unavailable, the principal of its last answer is used for 60 s.
        Raises DatabaseUnavailable.
        """
        if not tokens.is_token(token):
            return None
        digest = tokens.digest(token)
        if self.cache.is_unknown(digest):
            return None
        try:
            return await self._shared_lookup(token, digest)
        except DatabaseUnavailable:
            if principal := self.cache.within_grace(digest):
                return principal
            raise

    async def _shared_lookup(self, token: str, digest: bytes) -> Principal | None:
        """Query the database; concurrent look-ups of one token share the answer."""
        task = self._lookups.get(digest)
        if task is None:
            task = asyncio.create_task(self._look_up(token, digest))
            self._lookups[digest] = task
            task.add_done_callback(lambda task: self._end_lookup(digest, task))
        # Shielded: the first caller may disconnect while others still wait.
        return await asyncio.shield(task)

    def _end_lookup(self, digest: bytes, task: asyncio.Task[Principal | None]) -> None:
        self._lookups.pop(digest, None)
        if not task.cancelled():
            # Retrieved even if every caller has left; otherwise asyncio logs it as lost.
            task.exception()

    async def _look_up(self, token: str, digest: bytes) -> Principal | None:
        asked_at = self.cache.clock()
        load = self._session if token.startswith(tokens.SESSION_PREFIX) else self._application
        self.cache.begin_load(digest)
        try:
            principal = await self._in_time(load(digest))
        finally:
            notices = self.cache.end_load(digest)
        self.cache.forget(digest)
        if principal is None:
            self.cache.store_unknown(digest, asked_at)
        elif notices.isdisjoint((*notice_keys(principal), ALL)):
            self.cache.store(digest, principal, asked_at)
        return principal

    async def _in_time(self, answer: Awaitable[T]) -> T:
        """An answer within `LOOKUP_TIMEOUT`, including the wait for a connection."""
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                return await answer
        except TimeoutError as error:
            raise DatabaseUnavailable("the look-up of a token took too long") from error
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            raise DatabaseUnavailable(f"a token cannot be looked up: {error.cause}") from error

    async def _application(self, digest: bytes) -> Application | None:
        row = await self._database().fetchrow(_SQL["application_by_token"], digest)
        return Application(**{**row, "routes": tuple(row["routes"])}) if row else None

    async def _session(self, digest: bytes) -> Session | None:
        row = await self._database().fetchrow(_SQL["session_by_token"], digest)
        return Session.of(row) if row else None

    def _database(self) -> Database:
        return Database.within(self.pool, LOOKUP_TIMEOUT)
