"""A worker's notifications, kept in memory until they are written to the database.

The recorder reads the gateway's events; those that an operator must act on become notifications. A
lost database is recognised by the state of the pool, and recorded once the database is back.
"""

import asyncio
import math
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncpg import Record

from gateway import statuses
from gateway.database.errors import DatabaseError, DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.sql import load_queries
from gateway.notifications import crashes, notices
from gateway.notifications.kinds import BY_NAME
from gateway.notifications.notices import Notice
from gateway.outbox.transport import SendError, Transport
from gateway.runtime import events
from gateway.runtime.events import Event, Fields
from gateway.runtime.periodic import flush_periodically
from gateway.values import Rejection

FLUSH_INTERVAL = 1.0
FORWARD_INTERVAL = 3.0
"""Seconds between two looks for notifications of other workers that the webhook lacks."""

LOG_INTERVAL = 1.0
PAGE_DELAY = 5.0
PAGE_INTERVAL = 10.0
PAGE_TIMEOUT = 3.0
"""Seconds without a database until the webhook is called directly; between attempts; of one."""

DATABASE_TIMEOUT = 5.0
MAX_PENDING = 1000
OUTCOME_UNKNOWN = (
    "The database was lost before it confirmed this call; if the call writes, its outcome is "
    "unknown. Repeat it with the same `Idempotency-Key`, if it has one."
)

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class Recorder:
    """The notifications of one worker; `webhook` gets new ones, and news of a lost database.

    New ones are queued in the outbox, and `on_forwarded` is called.
    """

    def __init__(
        self,
        pool: Pool,
        webhook: Transport | None = None,
        on_forwarded: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._webhook = webhook
        self._on_forwarded = on_forwarded
        self._forward_at = 0.0
        self._next_page = 0.0
        self._page_failed = False
        self._pending: dict[str, Notice] = {}
        # When each ended: one that ends again while that is written is written again.
        self._ended: dict[str, float] = {}
        self._lost_at: float | None = None
        self._logged_at = -LOG_INTERVAL
        self._unlogged = 0
        self._flushing = asyncio.Lock()

    def record_crash(
        self, error: BaseException, request_id: str, progress: crashes.Progress
    ) -> Rejection:
        """Emit the event of a request's unexpected error; return the refusal to answer with."""
        match = progress.match
        route = match.route if match else None
        events.emit(
            events.REQUEST_CRASHED,
            trace=error,
            request_id=request_id,
            route=route.name if route else None,
            error=crashes.without_secrets(error, route, progress),
            place=crashes.place_of(error),
        )
        slug = statuses.APPLICATION_CRASH if match else statuses.IDENTIFY_REQUEST_ERROR
        return Rejection(slug)

    def record_unavailable(self, request_id: str, error: DatabaseUnavailable) -> Rejection:
        """Log why a request was not served; return the refusal to answer with."""
        self._log_unavailable(request_id, error)
        return Rejection(statuses.SERVICE_UNAVAILABLE, OUTCOME_UNKNOWN if error.was_sent else None)

    def _log_unavailable(self, request_id: str, error: DatabaseUnavailable) -> None:
        """Log at most once a second, and never during an outage; count the others."""
        now = time.monotonic()
        self._unlogged += 1
        if self._pool.outage or now - self._logged_at < LOG_INTERVAL:
            return
        more = self._unlogged - 1
        events.emit(events.REQUEST_UNAVAILABLE, request_id=request_id, reason=str(error), more=more)
        self._logged_at, self._unlogged = now, 0

    def read(self, event: Event, fields: Fields) -> None:
        """Read an event: those that an operator must act on become notifications."""
        if notice := notices.of_event(event, fields):
            self._add(notice)
        elif dedup_key := notices.ended_by(event, fields):
            self._ended[dedup_key] = time.monotonic()

    async def run(self) -> None:
        """Write the pending notifications once a second until cancelled, then once more."""
        unsubscribe = events.subscribe(self.read)
        try:
            await flush_periodically(self.flush, FLUSH_INTERVAL)
        finally:
            unsubscribe()

    async def flush(self) -> None:
        """Write the pending notifications, and queue new ones for the webhook."""
        # Two at the same time would write the same notifications.
        async with self._flushing:
            await self._write()

    async def _write(self) -> None:
        self._check_database()
        if self._lost_at is not None:
            await self._page(time.monotonic() - self._lost_at)
            return
        try:
            has_written = await self._write_pending()
            if self._webhook and (has_written or time.monotonic() >= self._forward_at):
                await self._forward()
        except DatabaseError as error:
            events.emit(events.NOTIFICATIONS_DELAYED, reason=error.cause)

    def _add(self, notice: Notice) -> None:
        # It may have ended before, and has begun again.
        self._ended.pop(notice.dedup_key, None)
        pending = self._pending.get(notice.dedup_key)
        if pending is None and len(self._pending) >= MAX_PENDING:
            return
        pending = self._pending.setdefault(notice.dedup_key, notice)
        pending.request_id = notice.request_id
        pending.count += 1

    def _check_database(self) -> None:
        """Record when the database is lost; once it is back, add a notification."""
        now = time.monotonic()
        if self._pool.problem and self._lost_at is None:
            self._lost_at = now
        elif self._lost_at is not None and not self._pool.problem:
            self._add(
                Notice(
                    kind="database-lost",
                    dedup_key="database-lost",
                    message=f"A worker had no database for {now - self._lost_at:.0f} s.",
                    first_seen=self._lost_at,
                )
            )
            self._lost_at, self._next_page, self._page_failed = None, 0.0, False

    async def _page(self, seconds: float) -> None:
        """Report a lost database to the webhook directly: the outbox is lost with it."""
        if not self._webhook or seconds < max(PAGE_DELAY, self._next_page):
            return
        self._next_page = seconds + PAGE_INTERVAL
        text = f"A worker has had no database for {seconds:.0f} s."
        data: dict[str, Any] = {"kind": "database-lost", "severity": "critical", "message": text}
        now = datetime.now(UTC).isoformat()
        payload = {"type": "notification.raised", "timestamp": now, "data": data}
        try:
            async with asyncio.timeout(PAGE_TIMEOUT):
                await self._webhook.send(f"database-lost-{uuid.uuid4()}", payload)
            self._next_page = math.inf
        except (SendError, TimeoutError) as error:
            if not self._page_failed:
                events.emit(events.NOTIFICATIONS_PAGE_FAILED, error=str(error) or "no answer")
            self._page_failed = True

    async def _forward(self) -> None:
        """Queue messages for the webhook; other workers and the database write some too."""
        self._forward_at = time.monotonic() + FORWARD_INTERVAL
        if await self._fetch("forward"):
            self._on_forwarded()

    async def _write_pending(self) -> bool:
        """Write one notification after another; after an error the others stay pending.

        Return whether there were any.
        """
        has_pending = bool(self._pending or self._ended)
        for dedup_key, notice in [*self._pending.items()]:
            count, age = notice.count, time.monotonic() - notice.first_seen
            await self._fetch(
                "raise",
                *(notice.kind, BY_NAME[notice.kind].severity, dedup_key, notice.message),
                *(notice.route, notice.request_id, age, count),
            )
            notice.count -= count
            if not notice.count:
                del self._pending[dedup_key]
        # After those that began: what has ended since is not to be left open.
        if ended := {**self._ended}:
            await self._fetch("resolve_ended", [*ended])
            self._ended = {key: at for key, at in self._ended.items() if ended.get(key) != at}
        return has_pending

    async def _fetch(self, query: str, *args: object) -> list[Record]:
        database = Database.within(self._pool, DATABASE_TIMEOUT)
        return await database.fetch(_SQL[query], *args)
