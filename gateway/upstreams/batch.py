"""Group commit: calls that wait for the same action run together, in one commit.

There is no batching delay: a lone call runs immediately. While `MAX_BATCHES` batches run, the next
one gathers, so the database's pace decides how many calls share a commit.

A batch that fails is undone as a whole. Each of its calls then runs once more, alone, so that one
call's error reaches no other call.
"""

import asyncio
import math
from collections import deque
from collections.abc import Coroutine, Hashable, Sequence
from typing import Any, NamedTuple

from gateway import statuses
from gateway.database.connect import Connection
from gateway.database.errors import DatabaseError, DatabaseUnavailable, has_timed_out
from gateway.database.handle import Database, Transaction
from gateway.database.pool import Pool
from gateway.runtime import trace_context
from gateway.runtime.lazy_timeout import LazyTimeout
from gateway.upstreams import idempotency
from gateway.upstreams.action import RETRY_SINGLY, Batch, Outcome, RetrySingly
from gateway.upstreams.call import Call
from gateway.values import ClientDisconnectedError, Rejection, Reply

MAX_BATCHES = 2
"""Batches of one action in flight: while one commits, the next is written."""

MAX_SINGLE = 8
"""Calls in flight that run alone, because they wait for a lock or their batch failed."""

MAX_BATCH_SIZE = 64
MAX_WAITING = 1000


class OutcomesError(Exception):
    """A batched action did not return one outcome for each call."""


class _Entry(NamedTuple):
    """A call in the queue; its caller awaits `reply`."""

    call: Call
    partition: Hashable
    reply: asyncio.Future[Reply]


def _finish(entry: _Entry, outcome: Reply | Exception) -> None:
    """Pass the outcome to the caller, if it still waits."""
    if entry.reply.done():
        return
    if isinstance(outcome, Exception):
        entry.reply.set_exception(outcome)
    else:
        entry.reply.set_result(outcome)


def _is_abandoned(entry: _Entry) -> bool:
    """Whether no caller waits any more; the work of a disconnected client is skipped."""
    if entry.call.db.is_disconnected():
        _finish(entry, ClientDisconnectedError())
    return entry.reply.done()


class BatchedAction:
    """An action that runs its waiting calls together, in the order of their arrival."""

    def __init__(self, batch: Batch, pool: Pool) -> None:
        self._batch = batch
        self._pool = pool
        self._waiting: deque[_Entry] = deque()
        self._batches: set[asyncio.Task[None]] = set()
        self._singles: set[asyncio.Task[None]] = set()
        # Calls that run alone may wait long, and must leave connections for other calls.
        self._single_slots = asyncio.Semaphore(max(1, min(MAX_SINGLE, pool.size // 2)))
        self._partitions: set[Hashable] = set()
        self._claimed: set[bytes] = set()
        self._scheduled = False
        self._deadline = math.inf
        self._deadline_timer: asyncio.Handle | None = None

    async def perform(self, call: Call) -> Reply:
        """See `Action.perform`. Raises Rejection: service-unavailable if too many calls wait."""
        if len(self._waiting) + len(self._singles) >= MAX_WAITING:
            raise Rejection(statuses.SERVICE_UNAVAILABLE, "Too many calls wait for this action.")
        if call.claim is None:
            return await self._enqueue(call)
        # Two calls with one key may be in the same batch, where the key's lock cannot separate
        # them: the lock's holder is the batch.
        key = call.claim.key
        if key in self._claimed:
            raise Rejection(statuses.IDEMPOTENCY_CONFLICT)
        self._claimed.add(key)
        try:
            return await self._enqueue(call)
        finally:
            self._claimed.discard(key)

    async def _enqueue(self, call: Call) -> Reply:
        partition = self._batch.partition_key(call) if self._batch.partition_key else None
        loop = asyncio.get_running_loop()
        entry = _Entry(call=call, partition=partition, reply=loop.create_future())
        self._waiting.append(entry)
        self._check_deadlines_at(call.deadline)
        self._schedule()
        return await entry.reply

    def _check_deadlines_at(self, deadline: float) -> None:
        """Keep one timer for all waiting calls: calls hardly ever wait until their deadline."""
        # uvloop's timer for a moment that has passed does not say when it is due.
        if deadline < self._deadline:
            if self._deadline_timer:
                self._deadline_timer.cancel()
            self._deadline = deadline
            loop = asyncio.get_running_loop()
            self._deadline_timer = loop.call_at(deadline, self._check_deadlines)

    def _check_deadlines(self) -> None:
        """Refuse the waiting calls whose deadline has passed."""
        self._deadline, self._deadline_timer = math.inf, None
        now = asyncio.get_running_loop().time()
        for entry in self._waiting:
            if entry.call.deadline <= now:
                _finish(entry, Rejection(statuses.SERVICE_TIMEOUT))
        later = [entry.call.deadline for entry in self._waiting if not entry.reply.done()]
        if later:
            self._check_deadlines_at(min(later))

    def _schedule(self) -> None:
        """Send a batch at the end of this turn of the loop, so that calls of one turn share it."""
        if self._waiting and not self._scheduled and len(self._batches) < MAX_BATCHES:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._scheduled = False
        if entries := self._next_batch():
            self._start(self._run_batch(entries), self._batches)

    def _start(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _next_batch(self) -> list[_Entry]:
        """The first waiting calls, without abandoned calls and those of busy partitions."""
        batch: list[_Entry] = []
        postponed: list[_Entry] = []
        while self._waiting and len(batch) < MAX_BATCH_SIZE:
            entry = self._waiting.popleft()
            if _is_abandoned(entry):
                continue
            if entry.partition in self._partitions:
                postponed.append(entry)
                continue
            if entry.partition is not None:
                self._partitions.add(entry.partition)
            batch.append(entry)
        self._waiting.extendleft(reversed(postponed))
        return batch

    async def _run_batch(self, entries: Sequence[_Entry]) -> None:
        try:
            await self._run(entries, singly=False)
        finally:
            # Now, before the task is done; otherwise the next batch would find no free slot.
            if task := asyncio.current_task():
                self._batches.discard(task)
            self._schedule()

    async def _run(self, entries: Sequence[_Entry], *, singly: bool) -> None:
        attempt = BatchAttempt(self._batch, self._pool, entries, singly=singly)
        outcomes: Sequence[Outcome | Exception]
        try:
            outcomes = await attempt.run()
        except Exception as error:  # noqa: BLE001 - every caller of the batch gets it
            outcomes = [
                RETRY_SINGLY if attempt.may_retry(entry, error) else error for entry in entries
            ]
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, RetrySingly):
                self._start(self._run_single(entry), self._singles)
            else:
                self._end(entry, outcome)

    async def _run_single(self, entry: _Entry) -> None:
        """Run a call alone, beside the batches, which must not wait for the same lock."""
        async with self._single_slots:
            # None of its work has been done so far, so it can still time out.
            deadline_passed = entry.call.deadline <= asyncio.get_running_loop().time()
            if _is_abandoned(entry) or deadline_passed:
                self._end(entry, Rejection(statuses.SERVICE_TIMEOUT))
            else:
                await self._run([entry], singly=True)
        self._schedule()

    def _end(self, entry: _Entry, outcome: Reply | Exception) -> None:
        """End a call; the next call of its partition may run."""
        self._partitions.discard(entry.partition)
        _finish(entry, outcome)


class BatchAttempt:
    """One attempt at a batch.

    It waits for a connection until the earliest deadline of its calls. Once SQL is sent, the batch
    is finished, however late; the latest deadline then bounds the statements.
    """

    def __init__(
        self, batch: Batch, pool: Pool, entries: Sequence[_Entry], *, singly: bool
    ) -> None:
        self._function = batch.function
        self._calls = [entry.call for entry in entries]
        self._singly = singly
        self._has_claims = any(call.claim for call in self._calls)
        deadlines = [call.deadline for call in self._calls]
        owner = self._calls[0].route.name
        self._db = Database(
            pool, max(deadlines), owner=owner, is_disconnected=self._all_disconnected
        )
        # A batch is started from the context of another call, or of another batch.
        trace_context.current.set(trace_context.shared(call.trace for call in self._calls))
        self._timeout = LazyTimeout(self._outcomes(), min(deadlines))
        self._db.on_sent = self._timeout.lift

    def _all_disconnected(self) -> bool:
        return all(call.db.is_disconnected() for call in self._calls)

    async def run(self) -> Sequence[Outcome]:
        """An outcome for each call, in their order.

        Raises Rejection, service-timeout, if no connection is free before a deadline.
        """
        try:
            return await self._timeout
        except TimeoutError as error:
            if not self._timeout.expired:
                raise
            raise Rejection(statuses.SERVICE_TIMEOUT) from error

    def may_retry(self, entry: _Entry, error: Exception) -> bool:
        """Whether the error undid the whole batch, and the call has time left to run alone."""
        if len(self._calls) == 1 or isinstance(error, OutcomesError):
            return False
        if isinstance(error, DatabaseUnavailable) and not has_timed_out(error):
            return False
        if self._timeout.expired:
            return entry.call.deadline > asyncio.get_running_loop().time()
        was_refused = isinstance(error, DatabaseError)
        return self._has_claims or not self._timeout.lifted or was_refused

    async def _outcomes(self) -> Sequence[Outcome]:
        if self._has_claims:
            return await self._db.transaction(self._run_with_claims)
        return await self._call_function(self._calls, self._db)

    async def _run_with_claims(self, db: Connection) -> Sequence[Outcome]:
        """Run the calls whose keys are new, and commit the claims together with the work."""
        claims = [call.claim for call in self._calls]
        replayed = await idempotency.claim_or_replay(db, claims)
        new = [index for index, outcome in enumerate(replayed) if outcome is None]
        calls = [self._calls[index] for index in new]
        outcomes = await self._call_function(calls, Transaction(db))
        await idempotency.store(db, [claims[index] for index in new], outcomes)
        fresh = iter(outcomes)
        return [next(fresh) if outcome is None else outcome for outcome in replayed]

    async def _call_function(self, calls: Sequence[Call], db: Database) -> Sequence[Outcome]:
        if not calls:
            return []
        outcomes = await self._function(calls, db, singly=self._singly)
        if len(outcomes) != len(calls) or (self._singly and outcomes[0] is RETRY_SINGLY):
            raise OutcomesError(f"{len(outcomes)} outcomes for {len(calls)} calls")
        return outcomes
