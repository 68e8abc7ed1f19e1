"""What a worker notices, kept in memory until the database takes it."""

import asyncio
import logging
import math
import time
import traceback
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from asyncpg import Record

from gateway import statuses
from gateway.database.handle import Database
from gateway.database.pool import FAULTS, Pool, UnavailableError
from gateway.database.sql import load_queries
from gateway.outbox.transport import SendError, Transport
from gateway.registry.records import Route
from gateway.registry.store import WORKER_TIMEOUT
from gateway.registry.table import Match
from gateway.runtime.periodic import write_behind
from gateway.values import Caller

Severity: TypeAlias = Literal["warning", "error", "critical"]

FLUSH_INTERVAL = 1.0
JUDGE_INTERVAL = 5.0
LATE_DELAY = 10.0
HEALED_DELAY = 3.0
"""Seconds: that a worker has to serve a revision, and without a word of a lost database."""

PAGE_DELAY = 5.0
PAGE_INTERVAL = 10.0
PAGE_TIMEOUT = 3.0
"""Seconds without a database until the webhook hears of it past the outbox; between attempts."""

DATABASE_TIMEOUT = 5.0
MAX_PENDING = 1000

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Notice:
    """A fault that was met `count` times; `seen` is when first, by the monotonic clock."""

    kind: str
    severity: Severity
    message: str
    route: str | None
    request_id: str | None
    seen: float
    count: int = 0


class Recorder:
    """The faults of one worker, and the judgement on all; what is new goes to the webhook.

    A lost database is noticed by what the pool says of it, and written down once it is back.
    """

    def __init__(self, pool: Pool, webhook: Transport | None = None) -> None:
        self._pool = pool
        self._webhook = webhook
        self._page_at = 0.0
        self._waiting: dict[str, _Notice] = {}
        self._lost_at: float | None = None
        self._judged = -JUDGE_INTERVAL
        self._was_late = False

    def crashed(
        self, error: BaseException, request_id: str, found: Match | None, caller: Caller | None
    ) -> None:
        """A request met a fault of the code: log it, and raise a notification."""
        route = found.route if found else None
        _log.exception("%s: %s", request_id, _without_secrets(error, route, caller))
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} in {frame.name}"
        # The kind and the place: its own text may quote what a caller sent.
        text = f"{type(error).__name__} at {place}"
        name = route.name if route else None
        notice = _Notice(
            statuses.APPLICATION_CRASH, "error", text, name, request_id, time.monotonic()
        )
        self._notice(f"application-crash:{name or ''}:{text}", notice)

    async def run(self) -> None:
        """Keep what is noticed, once a second, until cancelled; then once more."""
        await write_behind(self._keep, FLUSH_INTERVAL)

    async def _keep(self) -> None:
        """Write down what waits, judge the workers, and forward what is new to the webhook."""
        self._look_at_database()
        if self._lost_at is not None:
            await self._page(time.monotonic() - self._lost_at)
            return
        try:
            await self._write_down()
            if time.monotonic() - self._judged >= JUDGE_INTERVAL:
                await self._judge()
                self._judged = time.monotonic()
            if self._webhook:
                await self._ask("forward")
        except (UnavailableError, *FAULTS) as error:
            # A lost database is told of once, by the watch.
            _log.debug("notifications wait: %s", type(error).__name__)

    async def _judge(self) -> None:
        """Raise and resolve what concerns all workers, and forget what is long resolved."""
        [row] = await self._ask("late_workers", WORKER_TIMEOUT, LATE_DELAY)
        # One that has just begun, or come back, is late for a moment and nobody's concern.
        if row["message"] and self._was_late:
            await self._ask("raise_late_workers", row["message"])
        elif not row["message"]:
            await self._ask("heal_workers")
        self._was_late = row["message"] is not None
        await self._ask("heal_database", HEALED_DELAY)
        await self._ask("sweep")

    def _notice(self, dedup_key: str, notice: _Notice) -> None:
        known = self._waiting.get(dedup_key)
        if known is None and len(self._waiting) >= MAX_PENDING:
            return
        known = self._waiting.setdefault(dedup_key, notice)
        known.request_id = notice.request_id
        known.count += 1

    def _look_at_database(self) -> None:
        now = time.monotonic()
        if self._pool.problem and self._lost_at is None:
            self._lost_at = now
        elif self._lost_at is not None and not self._pool.problem:
            text = f"A worker had no database for {now - self._lost_at:.0f} s."
            notice = _Notice("database-lost", "critical", text, None, None, self._lost_at)
            self._notice("database-lost", notice)
            self._lost_at, self._page_at = None, 0.0

    async def _page(self, seconds: float) -> None:
        """Tell the webhook of a lost database at once: the outbox is lost with it."""
        if not self._webhook or seconds < max(PAGE_DELAY, self._page_at):
            return
        self._page_at = seconds + PAGE_INTERVAL
        text = f"A worker has had no database for {seconds:.0f} s."
        data: dict[str, Any] = {"kind": "database-lost", "severity": "critical", "message": text}
        now = datetime.now(UTC).isoformat()
        event = {"type": "notification.raised", "timestamp": now, "data": data}
        try:
            async with asyncio.timeout(PAGE_TIMEOUT):
                await self._webhook(f"database-lost-{uuid.uuid4()}", event)
            self._page_at = math.inf
        except (SendError, TimeoutError) as error:
            _log.warning("nobody was told of the lost database: %r", error)

    async def _write_down(self) -> None:
        """One after another; what a fault leaves over waits on."""
        for dedup_key, notice in [*self._waiting.items()]:
            count, age = notice.count, time.monotonic() - notice.seen
            given = notice.kind, notice.severity, dedup_key, notice.message, notice.route
            await self._ask("raise", *given, notice.request_id, age, count)
            notice.count -= count
            if not notice.count:
                del self._waiting[dedup_key]

    async def _ask(self, query: str, *args: object) -> list[Record]:
        deadline = asyncio.get_running_loop().time() + DATABASE_TIMEOUT
        return await Database(self._pool, deadline).fetch(_SQL[query], *args)


def _without_secrets(error: BaseException, route: Route | None, caller: Caller | None) -> str:
    """What to log of a fault; its text may quote params, of which some are secret."""
    if route and (route.sensitive_params or route.params.has_secrets):
        return type(error).__name__
    return repr(error).replace((caller and caller.token) or "\0", "…")
