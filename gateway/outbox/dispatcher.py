"""The outbox: sends committed messages, and retries those that failed.

The call that writes a message makes the first attempt and may wait for its outcome. If that attempt
fails, or its worker dies, a loop in each worker retries the message. Each message is sent at least
once. It is sent twice only if the receiver's answer is lost, or if the worker dies, or the database
is unavailable for longer than a lease, before the outcome is recorded.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from asyncpg import Record

from gateway.database.errors import DatabaseError
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.slices import delete_slice
from gateway.database.sql import load_queries
from gateway.outbox.transport import SendError, Transport
from gateway.runtime import events
from gateway.runtime.tracing.spans import Attributes, Span

MAX_FIRST_ATTEMPTS = 16
MAX_RETRIES_IN_FLIGHT = 4
MAX_WEBHOOKS_IN_FLIGHT = 2
"""Attempts in flight in one worker: mails for which calls wait, other mails, webhooks."""

MAX_IN_FLIGHT = ("mail", MAX_RETRIES_IN_FLIGHT), ("webhook", MAX_WEBHOOKS_IN_FLIGHT)

SEND_TIMEOUT = 20.0
LEASE = 30.0
"""Seconds after which another worker may send a claimed message: longer than an attempt takes."""

MIN_BACKOFF = 5.0
MAX_BACKOFF = 3600.0
MAX_RETRY_AGE = 3 * 86400.0
"""Seconds between attempts, doubled each time; the age at which a failed message is parked."""

POLL_INTERVAL = 1.0
IDLE_INTERVAL = 5.0
"""Seconds between two looks at the outbox, at least while messages are due, at most otherwise."""

CHANNEL = "gateway_outbox"
"""NOTIFY on this channel is a hint to look now, such as when an operator retries messages."""

RETRY_DELAY = 0.5
DATABASE_TIMEOUT = 5.0
FINISH_TIMEOUT = 12.0
"""Seconds that a stopping worker waits for its attempts: longer than Mandrill may stay silent."""

T = TypeVar("T")
Payload: TypeAlias = Mapping[str, Any]
Completion: TypeAlias = Callable[[Payload, int], Awaitable[Payload | None]]
"""Adds the secret to a payload, given the id of the row that the message is about.

It returns None if the message must not be sent any more.
"""

_NOTHING: Mapping[str, Completion] = {}
_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class Outbox:
    """Sends the messages of the outbox; `transports` has one for each kind of message.

    `completions` has one for each `about` of messages with a secret. Such a message gets its secret
    at each attempt, so no table ever holds it.
    """

    def __init__(
        self,
        pool: Pool,
        transports: Mapping[str, Transport],
        completions: Mapping[str, Completion] = _NOTHING,
    ) -> None:
        self._pool = pool
        self._transports = transports
        self._completions = completions
        self._first_attempts = asyncio.Semaphore(MAX_FIRST_ATTEMPTS)
        self._retries: dict[str, set[asyncio.Task[Any]]] = {"mail": set(), "webhook": set()}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._hint = asyncio.Event()
        self._looked_at = -IDLE_INTERVAL
        self._due_in = IDLE_INTERVAL
        self.outstanding = {"waiting": 0, "parked": 0}
        self._waiting_since: dict[str, float] = {}

    async def deliver(self, message_id: int, deadline: float) -> datetime | None:
        """Send a message that was just committed; return when it was sent.

        None if it was not sent before the deadline: the message stays in the outbox, an attempt in
        flight continues, and a notification is raised.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self._first_attempts.acquire()
                sending = self._start(self._send_first(message_id))
                sending.add_done_callback(lambda _: self._first_attempts.release())
                sent_at = await asyncio.shield(sending)
        except TimeoutError:
            sent_at = None
        if sent_at is None:
            self._start(self._record_late(message_id))
        return sent_at

    async def run(self) -> None:
        """Send the messages that are due, until cancelled."""
        while True:
            self._hint.clear()
            try:
                seconds = await self._run_round(asyncio.get_running_loop().time())
            except DatabaseError as error:
                events.emit(events.OUTBOX_DELAYED, reason=error.cause)
                seconds = POLL_INTERVAL
            jitter = random.uniform(0.8, 1.2)  # noqa: S311 - spreads the workers
            await self._pause(seconds * jitter)

    async def _run_round(self, now: float) -> float:
        """Start the messages that are due; return the seconds until the next round.

        It looks first, which costs more than a claim the more messages wait, unless the last round
        left some that are due.
        """
        if self._due_in > 0 or now - self._looked_at >= IDLE_INTERVAL:
            await self._look()
        if self._due_in > 0:
            return max(POLL_INTERVAL, min(self._due_in, IDLE_INTERVAL))
        if await self._start_due():
            return 0.0
        if self._has_room():
            self._due_in = POLL_INTERVAL  # other workers have taken them
        return POLL_INTERVAL

    def _has_room(self) -> bool:
        return all(len(self._retries[kind]) < limit for kind, limit in MAX_IN_FLIGHT)

    def look_now(self) -> None:
        """Look for due messages now instead of at the end of the interval."""
        self._hint.set()

    def oldest(self) -> dict[str, float]:
        """The age in seconds of the oldest waiting message of each kind; 0 if none waits.

        The ages also grow while the database is away.
        """
        now = asyncio.get_running_loop().time()
        return {kind: now - self._waiting_since.get(kind, now) for kind in self._retries}

    async def finish(self) -> None:
        """Wait up to `FINISH_TIMEOUT` for the attempts in flight: a cut one has to be repeated."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FINISH_TIMEOUT)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start_due(self) -> int:
        """Start attempts at due messages, up to the limits; return how many."""
        started = 0
        for kind, limit in MAX_IN_FLIGHT:
            in_flight = self._retries[kind]
            if len(in_flight) < limit:
                due = await self._fetch("claim_due", kind, limit - len(in_flight), LEASE)
                for row in due:
                    task = self._start(self._attempt(row))
                    in_flight.add(task)
                    task.add_done_callback(in_flight.discard)
                started += len(due)
        return started

    async def _pause(self, seconds: float) -> None:
        """Wait until the next look; an attempt that ends leaves room for another, and is a hint."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hint.wait()

    async def _look(self) -> None:
        """Count the unsent messages, and find out when the next one is due."""
        [row] = await self._fetch("outstanding")
        self._looked_at = now = asyncio.get_running_loop().time()
        self.outstanding = {state: row[state] for state in self.outstanding}
        self._waiting_since = {
            kind: now - row[kind] for kind in self._retries if row[kind] is not None
        }
        self._due_in = IDLE_INTERVAL if row["due_in"] is None else row["due_in"]

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start work that continues even if the client disconnects."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if any(task in in_flight for in_flight in self._retries.values()):
            self.look_now()
        if not task.cancelled() and (error := task.exception()):
            events.emit(events.OUTBOX_TASK_CRASHED, trace=error, error=type(error).__name__)

    async def _send_first(self, message_id: int) -> datetime | None:
        try:
            rows = await self._fetch("claim", message_id, LEASE)
        except DatabaseError as error:
            events.emit(events.OUTBOX_CLAIM_FAILED, message_id=message_id, reason=error.cause)
            return None
        return await self._attempt(rows[0]) if rows else None

    async def _attempt(self, row: Record) -> datetime | None:
        """Send a claimed message and record the outcome."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                receipt = await self._send(row, await self._payload(row))
        except SendError as error:
            await self._record_failure(row, error)
        except TimeoutError:
            text = f"There was no answer within {SEND_TIMEOUT:g} s."
            await self._record_failure(row, SendError("timeout", text, transient=True))
        except Exception as error:  # noqa: BLE001 - a bug of ours must not be retried for ever
            name = type(error).__name__
            events.emit(events.OUTBOX_SEND_CRASHED, trace=error, message_id=row["id"], error=name)
            text = f"The gateway failed to send it: {name}."
            await self._record_failure(row, SendError("fault", text, transient=False))
        else:
            recorded = await self._record("sent", row["id"], row["attempts"], receipt)
            return recorded[0]["sent_at"] if recorded else None
        return None

    async def _send(self, row: Record, payload: Payload) -> str:
        """Send a payload in a span, if the call that waits is recorded. Raises SendError."""
        kind = row["kind"]
        attributes: Attributes = {"gateway.message_id": row["id"], "gateway.kind": kind}
        with Span(f"send {kind}", "client", attributes) as span:
            try:
                return await self._transports[kind].send(f"outbox-{row['id']}", payload)
            except SendError as error:
                span.error_type = error.name
                raise

    async def _payload(self, row: Record) -> Payload:
        """What to send: the message's payload, completed if it has a secret. Raises SendError."""
        payload: Payload | None = row["payload"]
        if complete := self._completions.get(row["about"]):
            try:
                payload = await complete(row["payload"], row["about_id"])
            except DatabaseError as error:
                raise SendError(
                    "database", "The database is unavailable.", transient=True
                ) from error
        if payload is None:
            raise SendError("user disabled", "The user may no longer log in.", transient=False)
        return payload

    async def _record_late(self, message_id: int) -> None:
        """Raise a notification that a call's mail is late, unless an attempt has raised one."""
        await self._record("late", message_id)

    async def _record_failure(self, row: Record, error: SendError) -> None:
        backoff = min(MIN_BACKOFF * 2 ** min(row["attempts"] - 1, 20), MAX_BACKOFF)
        backoff *= random.uniform(0.5, 1)  # noqa: S311 - spreads the attempts
        args = error.name, not error.transient, backoff, MAX_RETRY_AGE, str(error)
        for recorded in await self._record("failed", row["id"], row["attempts"], *args):
            events.emit(
                events.OUTBOX_ATTEMPT_FAILED,
                request_id=recorded["request_id"],
                kind=recorded["kind"],
                message_id=row["id"],
                attempt=row["attempts"],
                state=recorded["state"],
                error=str(error),
            )
        self.look_now()

    async def _record(self, query: str, message_id: int, *args: object) -> list[Record]:
        """Record the outcome of an attempt; retry for as long as the database is unavailable."""
        while True:
            try:
                return await self._fetch(query, message_id, *args)
            except DatabaseError as error:
                # The server refused it, because a trigger failed for example: operators must know.
                is_refused = error.sqlstate is not None
                event = events.OUTBOX_RECORD_REFUSED if is_refused else events.OUTBOX_RECORD_DELAYED
                events.emit(event, message_id=message_id, error=repr(error.__cause__ or error))
                await self._hold(message_id)
                await asyncio.sleep(RETRY_DELAY)

    async def _hold(self, message_id: int) -> None:
        """Extend the lease, so that no other worker repeats an attempt that is not recorded yet."""
        with contextlib.suppress(DatabaseError):
            await self._fetch("hold", message_id, LEASE)

    async def _fetch(self, query: str, *args: object) -> list[Record]:
        database = Database.within(self._pool, DATABASE_TIMEOUT)
        return await database.fetch(_SQL[query], *args)


async def sweep(database: Database) -> bool:
    """Delete a slice of the sent and discarded messages that are older than 30 days.

    Return whether more may be left.
    """
    return await delete_slice(database, _SQL["sweep"])
