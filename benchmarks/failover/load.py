"""The load: calls at random moments with a fixed mean rate, whatever becomes of earlier ones.

A caller with an idempotency key repeats its call until it has the answer 200; others call once.
"""

import asyncio
import random
import time
from collections.abc import Mapping

from chaos.connection import Connection, HttpAnswer, LostError
from chaos.judge import says_done
from chaos.operations import Operations, body_of, row_of, slug_of
from chaos.record import LOST, Answer, Operation, Record

from failover.configuration import CALLERS_ADDRESS
from failover.gateways import PORT

RATE = 100.0
KINDS = {"create": 0.40, "create with a key": 0.35, "list": 0.25}
MAIL_SHARE = 0.01
ORDERS = 98
"""Orders 1 to 98 of the demo have a client who can get mail."""

REPEAT_PAUSE = (0.1, 0.3)
FINISH_TIMEOUT = 90.0
AT_ONCE = 16
SATURATING_CALLERS = 32

BALANCER = "balancer"
"""The slug of an answer that is not the gateway's, but that of the balancer in front of it."""


class Load:
    """Calls at `rate` a second until it is stopped, and notes every answer in the record."""

    def __init__(self, name: str, tokens: Mapping[str, str], rate: float = RATE) -> None:
        self.record = Record()
        self.operations = Operations(f"{name},", tokens)
        self._rate = rate
        self._rng = random.Random(name)
        self._idle: list[Connection] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._arrivals: asyncio.Task[None] | None = None
        self._kinds = list(KINDS)

    def start(self) -> None:
        """Begin to call."""
        self._arrivals = asyncio.create_task(self._arrive())

    async def stop(self) -> None:
        """Begin no more calls, and wait until each has its final answer. Raises TimeoutError."""
        assert self._arrivals
        self._arrivals.cancel()
        async with asyncio.timeout(FINISH_TIMEOUT):
            await asyncio.gather(*self._calls)

    async def repeat_keys(self) -> None:
        """Repeat each acknowledged call that has a key; the judge compares the ids."""
        repeated = [one for one in self.record.operations.values() if one.final]
        for start in range(0, len(repeated), AT_ONCE):
            await asyncio.gather(*map(self.ask, repeated[start : start + AT_ONCE]))

    async def saturate(self, seconds: float) -> float:
        """Call with callers that never pause; return the answers a second."""
        end = time.monotonic() + seconds

        async def call() -> None:
            while time.monotonic() < end:
                await self._call(self._next())

        await asyncio.gather(*(call() for _ in range(SATURATING_CALLERS)))
        return len(self.record.answers) / seconds

    async def _arrive(self) -> None:
        due = time.monotonic()
        while True:
            due += self._rng.expovariate(self._rate)
            await asyncio.sleep(max(0, due - time.monotonic()))
            call = asyncio.create_task(self._call(self._next()))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    def _next(self) -> Operation:
        [kind] = self._rng.choices(self._kinds, [*KINDS.values()])
        if kind == "list":
            return self.operations.list_statuses()
        return self.operations.stage(
            order=self._rng.randint(1, ORDERS),
            caller="application",
            is_keyed=kind == "create with a key",
            has_mail=self._rng.random() < MAIL_SHARE / 0.75,
        )

    async def _call(self, operation: Operation) -> None:
        """Request an operation until its answer is final."""
        while True:
            answer = await self.ask(operation)
            if not operation.final or says_done(answer):
                return
            await asyncio.sleep(self._rng.uniform(*REPEAT_PAUSE))

    async def ask(self, operation: Operation) -> Answer:
        """Request an operation once, and note the answer."""
        connection = self._idle.pop() if self._idle else Connection(_find_port, CALLERS_ADDRESS)
        sent = time.monotonic()
        try:
            answer = await connection.ask(operation.request)
        except LostError as error:
            noted = Answer(sent=sent, ended=time.monotonic(), slug=LOST, error=str(error))
        else:
            noted = _note(answer, sent)
        self._idle.append(connection)
        self.record.add(operation, noted)
        return noted


def _note(answer: HttpAnswer, sent: float) -> Answer:
    """What the record keeps of an answer."""
    ended = time.monotonic()
    if not answer.body.startswith(b"{"):
        return Answer(sent=sent, ended=ended, slug=BALANCER, code=answer.code)
    body = body_of(answer)
    slug, row_id = slug_of(answer, body), row_of(body)
    return Answer(sent=sent, ended=ended, slug=slug, code=answer.code, row_id=row_id)


def _find_port() -> int:
    return PORT
