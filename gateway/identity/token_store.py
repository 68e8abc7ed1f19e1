"""Who a token belongs to: asked of PostgreSQL, remembered for a few seconds in the worker."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway.database.handle import Database
from gateway.database.pool import FAULTS, Pool, UnavailableError
from gateway.database.sql import load_queries
from gateway.identity import tokens
from gateway.runtime.periodic import write_behind
from gateway.values import Application, Session

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_log = logging.getLogger(__name__)
_now = partial(datetime.now, UTC)

FRESH = 4.0
"""Seconds for which an answer of the database is taken without asking again."""

GRACE = 60.0
"""Seconds for which it is taken while the database cannot be asked."""

MAX_KNOWN = 100_000
MAX_UNKNOWN = 10_000
LOOKUP_TIMEOUT = 2.0
FLUSH_INTERVAL = 1.0

Principal = Session | Application
T = TypeVar("T")


CHANNEL = "gateway_identity"
EVERYBODY = "all"


class _Known:
    """A token's holder, as the database confirmed it at `confirmed` (monotonic seconds)."""

    __slots__ = ("confirmed", "principal")

    def __init__(self, principal: Principal, confirmed: float) -> None:
        self.principal = principal
        self.confirmed = confirmed


def _about(principal: Principal) -> tuple[str, ...]:
    """What a notice may name that changes this holder."""
    if isinstance(principal, Session):
        return f"session:{principal.id}", f"user:{principal.user_id}"
    return (f"token:{principal.token_id}",)


class TokenStore:
    """The worker's memory of tokens and of the slugs of applications.

    `now` gives the time that sessions are judged by, `clock` the monotonic seconds of the memory.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        now: Callable[[], datetime] = _now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.now = now
        self._pool = pool
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._unknown: dict[bytes, float] = {}
        self._digests: dict[str, set[bytes]] = {}
        self._asking: dict[bytes, asyncio.Task[Principal | None]] = {}
        self._heard_meanwhile: dict[bytes, set[str]] = {}
        self._listening_since = -GRACE
        self._slugs: dict[str, float] = {}
        self._used: dict[int, datetime] = {}
        self._behind = False
        self._written: deque[dict[int, datetime]] = deque(maxlen=int(GRACE / FLUSH_INTERVAL) + 2)

    def remembered(self, token: str) -> Principal | None:
        """The holder of a token that was confirmed moments ago."""
        known = self._known.get(tokens.digest(token))
        return known.principal if known and self._is_fresh(known.confirmed) else None

    def is_guess(self, token: str) -> bool:
        """Whether this may be a guess: a token, by its form, of which nothing is known yet.

        An app that goes on with a token that was revoked, or with none, does not guess.
        """
        digest = tokens.digest(token)
        seen = digest in self._known or digest in self._unknown
        return tokens.is_token(token) and not seen

    async def find(self, token: str) -> Principal | None:
        """The holder of a token, as the database says; None if there is none.

        Without the database it is who the database named in the last 60 s. Raises
        UnavailableError.
        """
        if not tokens.is_token(token):
            return None
        digest = tokens.digest(token)
        if self._is_fresh(self._unknown.get(digest, -GRACE)):
            return None
        try:
            return await self._ask_once(token, digest)
        except UnavailableError:
            known = self._known.get(digest)
            if known and self._clock() - known.confirmed < GRACE:
                return known.principal
            raise

    def invalidate(self, notice: str) -> None:
        """Forget whom a notice is about; what is on its way may be older than the notice."""
        for heard in self._heard_meanwhile.values():
            heard.add(notice)
        if notice.startswith(EVERYBODY):
            self.invalidate_all()
        for digest in [*self._digests.get(notice, ())]:
            self._forget(digest)

    def invalidate_all(self) -> None:
        """Notices may have been missed: whoever is remembered is asked for again."""
        self._listening_since = self._clock()
        for heard in self._heard_meanwhile.values():
            heard.add(EVERYBODY)

    def _is_fresh(self, confirmed: float) -> bool:
        return self._clock() - confirmed < FRESH and confirmed > self._listening_since

    def touch(self, session: Session, now: datetime | None = None) -> None:
        """Note that a session was used now; it is written behind."""
        self._used[session.id] = now or self.now()

    def with_last_use(self, session: Session) -> Session:
        """The session with its last use here, of which a remembered row does not know yet."""
        uses = (uses.get(session.id) for uses in (self._used, *self._written))
        return session._replace(last_used_at=max([session.last_used_at, *filter(None, uses)]))

    async def is_application(self, slug: str) -> bool:
        """Whether an application has this slug, remembered as tokens are.

        Raises UnavailableError.
        """
        asked = self._clock()
        age = asked - self._slugs.get(slug, -GRACE)
        if age < FRESH:
            return True
        asking = self._work().fetchrow(_SQL["application_exists"], slug)
        try:
            row = await self._in_time(asking)
        except UnavailableError:
            if age < GRACE:
                return True
            raise
        found = bool(row and row["found"])
        if found:
            self._slugs[slug] = asked
        return found

    async def write_behind(self) -> None:
        """Write the uses each second, until cancelled; then once more."""
        await write_behind(self.flush, FLUSH_INTERVAL)

    async def flush(self) -> None:
        """Write the uses now. If the database is away they are kept for the next time."""
        used, self._used = self._used, {}
        self._written.append(used)
        if not used:
            return
        args = list(used), list(used.values())
        try:
            await self._work().run(lambda db: db.execute(_SQL["record_use"], *args))
            self._behind = False
        except asyncio.CancelledError:
            # The worker stops, and flushes once more.
            self._used = used | self._used
            raise
        except (UnavailableError, *FAULTS) as error:
            self._used = used | self._used
            self._fall_behind(error)

    def _fall_behind(self, error: Exception) -> None:
        """Log it once: it is tried again each second for as long as the database is away."""
        if not self._behind:
            _log.warning("last uses of sessions wait for the database: %s", error)
        self._behind = True

    async def _ask_once(self, token: str, digest: bytes) -> Principal | None:
        """Ask the database; who asks for the same token meanwhile shares the answer."""
        task = self._asking.get(digest)
        if task is None:
            task = asyncio.create_task(self._ask(token, digest))
            self._asking[digest] = task
            task.add_done_callback(lambda done: self._asked(digest, done))
        # Shielded: the caller who began may leave while others still wait.
        return await asyncio.shield(task)

    def _asked(self, digest: bytes, done: asyncio.Task[Principal | None]) -> None:
        self._asking.pop(digest, None)
        if not done.cancelled():
            # Seen, even where every caller has left: a fault that nobody hears is logged as lost.
            done.exception()

    async def _ask(self, token: str, digest: bytes) -> Principal | None:
        asked = self._clock()
        look = self._session if _is_session(token) else self._application
        heard = self._heard_meanwhile[digest] = set()
        try:
            principal = await self._in_time(look(digest))
        finally:
            del self._heard_meanwhile[digest]
        self._forget(digest)
        if principal is None:
            self._remember_unknown(digest, asked)
        elif heard.isdisjoint((*_about(principal), EVERYBODY)):
            self._remember(digest, _Known(principal, asked))
        return principal

    async def _in_time(self, asking: Awaitable[T]) -> T:
        """An answer within `LOOKUP_TIMEOUT`, the wait for a connection included."""
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                return await asking
        except TimeoutError as error:
            raise UnavailableError("the look-up of a token took too long") from error
        except FAULTS as error:
            what = type(error).__name__
            raise UnavailableError(f"a token cannot be looked up: {what}") from error

    def _remember(self, digest: bytes, known: _Known) -> None:
        """And forget the oldest when there are too many."""
        self._known[digest] = known
        for key in _about(known.principal):
            self._digests.setdefault(key, set()).add(digest)
        if len(self._known) > MAX_KNOWN:
            self._forget(next(iter(self._known)))

    def _remember_unknown(self, digest: bytes, asked: float) -> None:
        self._unknown.pop(digest, None)
        self._unknown[digest] = asked
        if len(self._unknown) > MAX_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]

    def _forget(self, digest: bytes) -> None:
        self._unknown.pop(digest, None)
        known = self._known.pop(digest, None)
        for key in _about(known.principal) if known else ():
            self._digests[key].discard(digest)
            if not self._digests[key]:
                del self._digests[key]

    async def _application(self, digest: bytes) -> Application | None:
        row = await self._work().fetchrow(_SQL["application_by_token"], digest)
        return Application(**{**row, "routes": tuple(row["routes"])}) if row else None

    async def _session(self, digest: bytes) -> Session | None:
        row = await self._work().fetchrow(_SQL["session_by_token"], digest)
        if not row:
            return None
        return self.with_last_use(Session.of(row))

    def _work(self) -> Database:
        return Database(self._pool, asyncio.get_running_loop().time() + LOOKUP_TIMEOUT)


def _is_session(token: str) -> bool:
    return token.startswith(tokens.SESSION_PREFIX)
