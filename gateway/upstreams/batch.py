"""Group commit: calls that wait for the same action run together, in one commit.

There is no batching delay: a lone call runs immediately. While `MAX_BATCHES` batches run, the next
one gathers, so the database's pace decides how many calls share a commit.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Hashable, Sequence
from typing import Any, NamedTuple

import asyncpg

from gateway import statuses
from gateway.database.handle import Database, Transaction
from gateway.database.pool import Connection, Pool, UnavailableError
from gateway.runtime.lazy_timeout import LazyTimeout
from gateway.upstreams import idempotency
from gateway.upstreams.call import Call
from gateway.upstreams.idempotency import Claim
from gateway.upstreams.python import RETRY_SINGLY, BatchedAction, Outcome, RetrySingly
from gateway.values import ClientLeftError, Rejection, Reply

MAX_BATCHES = 2
"""Batches of one action under way: while one commits, the other is written."""

MAX_SINGLE = 8
"""Calls that go alone, because somebody else holds what they need, or of a batch that failed."""

MAX_BATCH_SIZE = 64
MAX_WAITING = 1000


class OutcomesError(Exception):
    """A batched action returned something else than an outcome for each call."""


class _Entry(NamedTuple):
    """A call in a line; whoever waits for its outcome has the future."""

    call: Call
    claim: Claim | None
    partition_key: Hashable
    done: asyncio.Future[Reply]


def _tell(entry: _Entry, outcome: Reply | Exception) -> None:
    """Tell whoever waits, if somebody still does."""
    if entry.done.done():
        return
    if isinstance(outcome, Exception):
        entry.done.set_exception(outcome)
    else:
        entry.done.set_result(outcome)


def _is_over(entry: _Entry) -> bool:
    """Whether nobody waits for it any more; one whose caller has left is done nothing for."""
    if entry.call.db.has_left():
        _tell(entry, ClientLeftError())
    return entry.done.done()


class Batches:
    """The lines of one worker, one for each batched action."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lines: dict[BatchedAction, BatchQueue] = {}

    async def submit(self, action: BatchedAction, call: Call, claim: Claim | None) -> Reply:
        """The reply to a call that runs in a batch.

        Raises Rejection (service-unavailable if too many calls wait, service-timeout if the
        deadline passes before the call is sent), and what the action raises.
        """
        line = self._lines.get(action)
        if line is None:
            line = self._lines[action] = BatchQueue(action, self._pool)
        return await line.submit(call, claim)


class BatchQueue:
    """The calls that wait for one action, in the order of their arrival."""

    def __init__(self, action: BatchedAction, pool: Pool) -> None:
        self._action = action
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Entry] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._singly: set[asyncio.Task[None]] = set()
        # They may wait for long, and must leave connections to the others.
        self._places = asyncio.Semaphore(max(1, min(MAX_SINGLE, pool.size // 2)))
        self._in_flight_keys: set[Hashable] = set()
        self._keys: set[bytes] = set()
        self._scheduled = False
        self._clock: asyncio.TimerHandle | None = None

    async def submit(self, call: Call, claim: Claim | None) -> Reply:
        """See `Batches.submit`."""
        if len(self._waiting) + len(self._singly) >= MAX_WAITING:
            raise Rejection(statuses.SERVICE_UNAVAILABLE, "Too many calls wait for this action.")
        if claim is None:
            return await self._wait(call, None)
        # A lock does not keep out its own holder, which a batch of twins would be.
        if claim.key in self._keys:
            raise Rejection(statuses.IDEMPOTENCY_CONFLICT)
        self._keys.add(claim.key)
        try:
            return await self._wait(call, claim)
        finally:
            self._keys.discard(claim.key)

    async def _wait(self, call: Call, claim: Claim | None) -> Reply:
        partition_key = self._action.partition_key(call) if self._action.partition_key else None
        entry = _Entry(call, claim, partition_key, self._loop.create_future())
        self._waiting.append(entry)
        self._look_again_at(call.deadline)
        self._schedule()
        return await entry.done

    def _look_again_at(self, deadline: float) -> None:
        """Keep one timer for all calls that wait: few ever wait for so long."""
        if self._clock is None or deadline < self._clock.when():
            if self._clock:
                self._clock.cancel()
            self._clock = self._loop.call_at(deadline, self._look_at_clock)

    def _look_at_clock(self) -> None:
        """End the calls whose time is up."""
        self._clock = None
        now = self._loop.time()
        for entry in self._waiting:
            if entry.call.deadline <= now:
                _tell(entry, Rejection(statuses.SERVICE_TIMEOUT))
        left = [entry.call.deadline for entry in self._waiting if not entry.done.done()]
        if left:
            self._look_again_at(min(left))

    def _schedule(self) -> None:
        """At the end of this turn of the loop, so that what arrives in one turn goes together."""
        if self._waiting and not self._scheduled and len(self._under_way) < MAX_BATCHES:
            self._scheduled = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._scheduled = False
        if batch := self._next_batch():
            self._begin(self._run_batch(batch), self._under_way)

    def _begin(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        task = self._loop.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    def _next_batch(self) -> list[_Entry]:
        """Whoever waits, but for those who left and those who have to stay apart."""
        batch: list[_Entry] = []
        stay: list[_Entry] = []
        while self._waiting and len(batch) < MAX_BATCH_SIZE:
            entry = self._waiting.popleft()
            if _is_over(entry):
                continue
            if entry.partition_key in self._in_flight_keys:
                stay.append(entry)
                continue
            if entry.partition_key is not None:
                self._in_flight_keys.add(entry.partition_key)
            batch.append(entry)
        self._waiting.extendleft(reversed(stay))
        return batch

    async def _run_batch(self, batch: Sequence[_Entry]) -> None:
        try:
            await self._perform(batch, singly=False)
        finally:
            # Before the task itself is over, or the next batch would find no place.
            if task := asyncio.current_task():
                self._under_way.discard(task)
            self._schedule()

    async def _perform(self, batch: Sequence[_Entry], *, singly: bool) -> None:
        trip = BatchAttempt(self._action, self._pool, batch, singly=singly)
        outcomes: Sequence[Outcome | Exception]
        try:
            outcomes = await trip.outcomes()
        except Exception as error:  # noqa: BLE001 - each call has to hear of it
            # What is undone is done again by one, so that a fault meets nobody else.
            outcomes = [
                RETRY_SINGLY if trip.may_go_alone(entry, error) else error for entry in batch
            ]
        for entry, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, RetrySingly):
                self._begin(self._go_alone(entry), self._singly)
            else:
                self._settle(entry, outcome)

    async def _go_alone(self, entry: _Entry) -> None:
        """Beside the batches, which must not wait for what it waits for."""
        async with self._places:
            # Nothing of it was done so far.
            if _is_over(entry) or entry.call.deadline <= self._loop.time():
                self._settle(entry, Rejection(statuses.SERVICE_TIMEOUT))
            else:
                await self._perform([entry], singly=True)
        self._schedule()

    def _settle(self, entry: _Entry, outcome: Reply | Exception) -> None:
        """A call is over: those that had to stay apart from it may go."""
        self._in_flight_keys.discard(entry.partition_key)
        _tell(entry, outcome)


class BatchAttempt:
    """One attempt at a batch."""

    def __init__(
        self, action: BatchedAction, pool: Pool, batch: Sequence[_Entry], *, singly: bool
    ) -> None:
        self._action = action
        self._batch = batch
        self._singly = singly
        self._in_transaction = any(entry.claim for entry in batch)
        deadlines = [entry.call.deadline for entry in batch]
        owner = batch[0].call.route.name
        self._work = Database(pool, max(deadlines), owner=owner, has_left=self._have_all_left)
        self._deadline = LazyTimeout(self._outcomes(), min(deadlines))
        self._work.sent = self._deadline.lift

    def _have_all_left(self) -> bool:
        return all(entry.call.db.has_left() for entry in self._batch)

    async def outcomes(self) -> Sequence[Outcome]:
        """An outcome for each call, in their order.

        Raises Rejection, service-timeout, if there is no connection in time for all of them.
        """
        try:
            return await self._deadline
        except TimeoutError as error:
            if not self._deadline.expired:
                raise
            raise Rejection(statuses.SERVICE_TIMEOUT) from error

    async def _outcomes(self) -> Sequence[Outcome]:
        if self._in_transaction:
            return await self._work.transaction(self._claimed)
        return await self._act([entry.call for entry in self._batch], self._work)

    def may_go_alone(self, entry: _Entry, error: Exception) -> bool:
        """Whether nothing of the batch counts after an error, and a call of it still has time."""
        if len(self._batch) == 1 or isinstance(error, UnavailableError | OutcomesError):
            return False
        if self._deadline.expired:
            return entry.call.deadline > asyncio.get_running_loop().time()
        was_refused = isinstance(error, asyncpg.PostgresError)
        return self._in_transaction or not self._deadline.sent or was_refused

    async def _claimed(self, db: Connection) -> Sequence[Outcome]:
        """What the calls claim commits with what they do."""
        claims = [entry.claim for entry in self._batch]
        known = await idempotency.known(db, claims)
        left = [place for place, outcome in enumerate(known) if outcome is None]
        done = await self._act([self._batch[place].call for place in left], Transaction(db))
        await idempotency.keep(db, [claims[place] for place in left], done)
        fresh = iter(done)
        return [next(fresh) if outcome is None else outcome for outcome in known]

    async def _act(self, calls: Sequence[Call], db: Database) -> Sequence[Outcome]:
        if not calls:
            return []
        outcomes = await self._action.perform(calls, db, singly=self._singly)
        if len(outcomes) != len(calls) or (self._singly and outcomes[0] is RETRY_SINGLY):
            raise OutcomesError(f"{len(outcomes)} outcomes of {len(calls)} calls")
        return outcomes
