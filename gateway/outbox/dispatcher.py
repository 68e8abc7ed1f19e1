"""The outbox: what was committed to be sent is sent, at once and, if need be, again and again.

Whoever writes a message sends it first and may wait for the outcome. What is not sent then, or
whose sender died, a loop in each worker takes up. A message is sent at least once: twice only if
its sender dies, or the database is away for longer than a lease, between the receiver's answer and
the commit that notes it, or if the answer is never heard.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Coroutine, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from asyncpg import Record

from gateway.database.handle import Database
from gateway.database.pool import FAULTS, Pool, UnavailableError
from gateway.database.sql import load_queries
from gateway.outbox.transport import SendError, Transport

MAX_FIRST_ATTEMPTS = 16
MAX_RETRIES_IN_FLIGHT = 4
MAX_WEBHOOKS_IN_FLIGHT = 2
"""Attempts under way in one worker: at mails for which calls wait, at others, at webhooks."""

SEND_TIMEOUT = 20.0
LEASE = 30.0
"""Seconds after which others may send a message: more than an attempt takes."""

MIN_BACKOFF = 5.0
MAX_PAUSE = 3600.0
MAX_RETRY_AGE = 3 * 86400.0
"""Seconds between attempts, doubled each time, and until a message is parked all the same."""

POLL_INTERVAL = 1.0
RETRY_DELAY = 0.5
DATABASE_TIMEOUT = 5.0
FINISH_TIMEOUT = 12.0
"""Seconds that a worker which stops gives its attempts: as long as Mandrill may be silent."""

COUNT_INTERVAL = 5.0
SWEEP_INTERVAL = 600.0

T = TypeVar("T")

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_log = logging.getLogger(__name__)


class Outbox:
    """Sends what stands in the outbox; `transports` are by kind of message."""

    def __init__(self, pool: Pool, transports: Mapping[str, Transport]) -> None:
        self._pool = pool
        self._transports = transports
        self._first = asyncio.Semaphore(MAX_FIRST_ATTEMPTS)
        self._again: dict[str, set[asyncio.Task[Any]]] = {"mail": set(), "webhook": set()}
        self._sending: set[asyncio.Task[Any]] = set()
        self._counted = self._swept = -SWEEP_INTERVAL
        self.outstanding = {"waiting": 0, "parked": 0}

    async def deliver(self, message: int, deadline: float) -> datetime | None:
        """Send a message that was just committed; answer when it was sent.

        None if it was not, or not before the deadline: it stays, what is under way goes on, and a
        notification is raised.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self._first.acquire()
                sending = self._begin(self._send_first(message))
                sending.add_done_callback(lambda _: self._first.release())
                sent_at = await asyncio.shield(sending)
        except TimeoutError:
            sent_at = None
        if sent_at is None:
            self._begin(self._note_late(message))
        return sent_at

    async def run(self) -> None:
        """Take up what others left, until cancelled."""
        while True:
            try:
                found = await self._take_up()
                await self._look_after(asyncio.get_running_loop().time())
            except (UnavailableError, *FAULTS) as error:
                # A lost database is told of once, by the watch.
                _log.debug("the outbox waits: %s", type(error).__name__)
                found = 0
            if not found:
                await self._pause(POLL_INTERVAL * random.uniform(0.8, 1.2))  # noqa: S311 - spread

    async def finish(self) -> None:
        """Wait a little for what is under way, which others would have to send again."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=FINISH_TIMEOUT)
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _take_up(self) -> int:
        """Begin attempts at what is due, as many as there is room for; answer how many."""
        begun = 0
        for kind, most in (("mail", MAX_RETRIES_IN_FLIGHT), ("webhook", MAX_WEBHOOKS_IN_FLIGHT)):
            under_way = self._again[kind]
            if len(under_way) < most:
                due = await self._ask("claim_due", kind, most - len(under_way), LEASE)
                for row in due:
                    task = self._begin(self._attempt(row))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                begun += len(due)
        return begun

    async def _pause(self, seconds: float) -> None:
        """Until it is time to look again, or there is room for another attempt."""
        under_way = set().union(*self._again.values())
        if under_way:
            await asyncio.wait(under_way, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(seconds)

    async def _look_after(self, now: float) -> None:
        """Count what is outstanding, for the metrics, and forget what is long done."""
        if now - self._counted > COUNT_INTERVAL:
            self.outstanding = dict((await self._ask("outstanding"))[0])
            self._counted = now
        if now - self._swept > SWEEP_INTERVAL:
            await self._ask("sweep")
            self._swept = now

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Some work that nobody's leaving ends."""
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("a message could not be handled: %s", type(error).__name__, exc_info=error)

    async def _send_first(self, message: int) -> datetime | None:
        try:
            rows = await self._ask("claim", message, LEASE)
        except (UnavailableError, *FAULTS) as error:
            _log.warning("message %d waits: %s", message, type(error).__name__)
            return None
        return await self._attempt(rows[0]) if rows else None

    async def _attempt(self, row: Record) -> datetime | None:
        """Send a message that is claimed, and note what became of it."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                send = self._transports[row["kind"]]
                receipt = await send(f"outbox-{row['id']}", row["payload"])
        except SendError as error:
            await self._note_failure(row, error)
        except TimeoutError:
            text = f"There was no answer within {SEND_TIMEOUT:g} s."
            await self._note_failure(row, SendError("timeout", text, transient=True))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not try for ever
            _log.exception("message %d cannot be sent", row["id"])
            text = f"The gateway failed over it: {type(error).__name__}."
            await self._note_failure(row, SendError("fault", text, transient=False))
        else:
            noted = await self._note("sent", row["id"], row["attempts"], receipt)
            return noted[0]["sent_at"] if noted else None
        return None

    async def _note_late(self, message: int) -> None:
        """The call is told that its mail failed: so are others, unless an attempt told them."""
        await self._note("late", message)

    async def _note_failure(self, row: Record, error: SendError) -> None:
        pause = min(MIN_BACKOFF * 2 ** min(row["attempts"] - 1, 20), MAX_PAUSE)
        pause *= random.uniform(0.5, 1)  # noqa: S311 - to spread them
        given = error.name, not error.transient, pause, MAX_RETRY_AGE, str(error)
        for noted in await self._note("failed", row["id"], row["attempts"], *given):
            _log.warning(
                "%s: %s %d, attempt %d, %s: %s",
                *(noted["request_id"], noted["kind"], row["id"], row["attempts"]),
                *(noted["state"], error),
            )

    async def _note(self, query: str, message: int, *args: object) -> list[Record]:
        """Note what became of a message, however long the database is away."""
        while True:
            try:
                return await self._ask(query, message, *args)
            except (UnavailableError, *FAULTS) as error:
                # A lost database is told of by the watch; a trigger that fails is not.
                refused = isinstance(error, asyncpg.PostgresError)
                level = logging.WARNING if refused else logging.DEBUG
                _log.log(level, "message %d is not noted yet: %r", message, error)
                await self._hold(message)
                await asyncio.sleep(RETRY_DELAY)

    async def _hold(self, message: int) -> None:
        """Keep others from sending again what was sent and only cannot be noted."""
        with contextlib.suppress(UnavailableError, *FAULTS):
            await self._ask("hold", message, LEASE)

    async def _ask(self, query: str, *args: object) -> list[Record]:
        deadline = asyncio.get_running_loop().time() + DATABASE_TIMEOUT
        return await Database(self._pool, deadline).fetch(_SQL[query], *args)
