"""The load: callers that create, change, delete, list, log in and out, and make mistakes.

If an answer is lost or 503, the caller repeats the call, with the same key, until it is final.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from chaos.connection import Connection, LostError
from chaos.operations import Operations, body_of, row_of, slug_of, token_of
from chaos.record import LOST, Answer, Operation, Record
from gateway import statuses as slugs

ROUND_CHECK = 0.05
ORDERS = 98
"""Orders 1 to 98 of the demo have a client who can get mail."""

PAUSE = (0.0, 0.1)
LOGIN_PAUSE = (0.5, 1.5)
REPEAT_PAUSE = (0.02, 0.2)
"""Seconds between two operations of a caller, between two log-ins, and before a repeat."""

MAIL_SHARE = 0.3
KEYED_SHARE = 0.8
TWIN_SHARE = 0.05
REPEAT_SHARE = 0.1
"""Shares of stages with a mail, with a key; of these, sent twice at once, repeated when done."""

DELETED_SHARE = 0.5
EMAILS = ("client@example.com", "liaison@example.com")


class Load:
    """All callers; `later` are operations whose mail is not sent yet, to be repeated at the end."""

    def __init__(
        self, *, record: Record, operations: Operations, find_port: Callable[[], int], seed: int
    ) -> None:
        self.record = record
        self.operations = operations
        self.find_port = find_port
        self.seed = seed
        self.is_stopping = False
        self.later: list[Operation] = []
        self._callers: list[Caller] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, count: int) -> None:
        """Start `count` callers."""
        scripts = itertools.islice(itertools.cycle(SCRIPTS), count)
        self._callers = [Caller(self, number, script) for number, script in enumerate(scripts)]
        self._tasks = [asyncio.create_task(caller.run()) for caller in self._callers]

    async def wait_for_a_round(self, seconds: float) -> None:
        """Wait until each caller has run its whole script, for at most `seconds`."""
        rounds = [caller.rounds + 1 for caller in self._callers]
        deadline = time.monotonic() + seconds
        while any(
            caller.rounds < count for caller, count in zip(self._callers, rounds, strict=True)
        ):
            if time.monotonic() > deadline:
                self.record.problems.append(f"a caller did not finish within {seconds:g} s")
                return
            await asyncio.sleep(ROUND_CHECK)

    async def stop(self, seconds: float) -> None:
        """Let each caller finish its operation, for at most `seconds`."""
        self.is_stopping = True
        _, unfinished = await asyncio.wait(self._tasks, timeout=seconds)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for task in self._tasks:
            if not task.cancelled() and (error := task.exception()):
                raise error

    async def repeat_later_ones(self, seconds: float) -> None:
        """Repeat the works whose mail was late until each has its answer."""
        caller = Caller(self, -1, create_stage)
        operations, self.later = self.later, []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for operation in operations:
                    while (await caller.ask(operation)).slug not in operation.final:
                        await caller.pause(REPEAT_PAUSE)
        caller.close()


Script: TypeAlias = Callable[["Caller"], Awaitable[None]]


class Caller:
    """One client, which repeats its script; a second connection can send the same call at once."""

    def __init__(self, load: Load, number: int, script: Script) -> None:
        self.rng = random.Random(f"{load.seed} caller {number}")
        self.load = load
        self.rounds = 0
        self.token = "employee" if number % 2 else "application"
        self._script = script
        self._connections = [Connection(load.find_port) for _ in range(2)]
        self._mistakes = itertools.cycle(load.operations.refused())

    async def run(self) -> None:
        """Call until the load stops."""
        while not self.load.is_stopping:
            await self._script(self)
            self.rounds += 1
            await self.pause(PAUSE)
        self.close()

    async def pause(self, seconds: tuple[float, float]) -> None:
        """Wait for a random time in this range."""
        await asyncio.sleep(self.rng.uniform(*seconds))

    def next_mistake(self) -> Operation:
        """The next of the calls that must be refused."""
        return next(self._mistakes)

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.close()

    async def ask(self, operation: Operation, *, is_twin: bool = False) -> Answer:
        """Request an operation once, and note the answer."""
        sent = time.monotonic()
        try:
            answer = await self._connections[is_twin].ask(operation.request)
        except LostError as error:
            noted = Answer(sent=sent, ended=time.monotonic(), slug=LOST, error=str(error))
        else:
            body = body_of(answer)
            noted = Answer(
                sent=sent,
                ended=time.monotonic(),
                slug=slug_of(answer, body),
                code=answer.code,
                stated=body.get("code", answer.code),
                row_id=row_of(body),
                token=token_of(body),
            )
        self.load.record.add(operation, noted)
        return noted

    async def do(self, operation: Operation, *, is_twin: bool = False) -> Answer | None:
        """Request an operation until its answer is final; None if it has to be repeated later."""
        while True:
            answer = await self.ask(operation, is_twin=is_twin)
            if not operation.final or answer.slug in operation.final:
                return answer
            if answer.slug == slugs.MANDRILL_EMAIL_FAILED:
                self.load.later.append(operation)
                return None
            await self.pause(REPEAT_PAUSE)


async def create_stage(caller: Caller) -> None:
    """Create a stage; sometimes send the call twice at once, or again when it is done."""
    rng = caller.rng
    operation = caller.load.operations.stage(
        order=rng.randint(1, ORDERS),
        caller=caller.token,
        is_keyed=rng.random() < KEYED_SHARE,
        has_mail=rng.random() < MAIL_SHARE,
    )
    if operation.final and rng.random() < TWIN_SHARE:
        await asyncio.gather(caller.do(operation), caller.do(operation, is_twin=True))
        return
    answer = await caller.do(operation)
    if operation.final and answer and rng.random() < REPEAT_SHARE:
        await caller.do(operation)
        await caller.ask(caller.load.operations.mismatch(operation, caller.token))


async def keep_status(caller: Caller) -> None:
    """Create a status, change it a few times, and perhaps delete it."""
    operations, rng = caller.load.operations, caller.rng
    created = await caller.do(operations.status())
    assert created
    for _ in range(rng.randint(0, 4)):
        await caller.do(operations.color(created.row_id))
        await caller.do(operations.list_statuses())
        await caller.pause(PAUSE)
    if rng.random() < DELETED_SHARE:
        await caller.do(operations.no_status(created.row_id))


async def log_in_and_out(caller: Caller) -> None:
    """Log in and, if that worked, log out again."""
    operations = caller.load.operations
    answer = await caller.ask(operations.log_in(caller.rng.choice(EMAILS)))
    await caller.pause(LOGIN_PAUSE)
    if answer.token:
        await caller.do(operations.log_out(answer.row_id, answer.token))


async def make_mistakes(caller: Caller) -> None:
    """Make one call that must be refused."""
    await caller.ask(caller.next_mistake())


SCRIPTS: tuple[Script, ...] = (
    *(create_stage, keep_status, create_stage, log_in_and_out),
    *(create_stage, make_mistakes, create_stage, create_stage),
)
"""The scripts of callers, in turn."""
