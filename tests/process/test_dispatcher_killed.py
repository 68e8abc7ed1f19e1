"""A dispatcher that is killed over and over loses no message, and sends few of them twice.

`GATEWAY_TEST_KILLS` says how often; with `-s` the figures are shown.
"""

import asyncio
import itertools
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson
import pytest
from support.harness import execute, until
from support.mail import messages, wait_for_rows
from support.mandrill import served_in_thread
from support.processes import KillableProcesses

from gateway.dev.mandrill import API, StandIn

KILLS = int(os.environ.get("GATEWAY_TEST_KILLS", "30"))
LEASE = 3.0
"""Seconds; more than an attempt takes."""

NEW = 3
MAX_DELAY = 0.15
SLOWEST = 0.06
"""Messages that are queued for each dispatcher, seconds that one may live, and an answer takes."""

QUEUE = """
select gateway.queue_mail(
    '{"route": "order_stages.create", "seconds": 0}', 'order-stage-changed',
    'client@example.com', 'Ben Stone', '{}', null, null
) from generate_series(1, $1)
"""
ABANDONED = "select from gateway.outbox where state = 'waiting' and attempts > 0"


class Heard(NamedTuple):
    """A message as it arrived: its id, by which dispatcher, and the id it was given."""

    message: str
    by: int
    receipt: str


class Deadly:
    """The stand-in for Mandrill, which may kill who mails: once it has the mail, or has answered.

    A dispatcher is known by its key.
    """

    def __init__(self) -> None:
        self._stand_in = StandIn()
        self.heard: list[Heard] = []
        self.when = ""
        self.killed = 0
        self.kill: Callable[[], None] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body: dict[str, Any] = {}
        whole = b""

        async def listen() -> Any:
            nonlocal whole, body
            event = await receive()
            whole += event.get("body", b"")
            if event["type"] == "http.request" and not event["more_body"]:
                body = orjson.loads(whole)
                self._strike("received")
            return event

        async def speak(event: Any) -> None:
            if event["type"] == "http.response.body" and event["body"]:
                [reply] = orjson.loads(event["body"])
                message = body["message"]["metadata"]["outbox"]
                self.heard.append(Heard(message, int(body["key"]), reply["_id"]))
            await send(event)
            if event["type"] == "http.response.body" and not event.get("more_body"):
                self._strike("answered")

        # Longer than a dispatcher takes to look again: what is under way is nobody's to begin.
        await asyncio.sleep(random.uniform(0, SLOWEST))
        await self._stand_in.app(scope, listen, speak)

    def _strike(self, when: str) -> None:
        if self.when == when:
            self.when = ""
            self.killed += 1
            self.kill()


@pytest.fixture
def mortals() -> Iterator[KillableProcesses]:
    made = KillableProcesses()
    yield made
    made.close()


async def dispatch(mortals: KillableProcesses, deadly: Deadly, how: str, *begin: object) -> None:
    """A dispatcher lives until it is killed at a moment of this kind."""
    number = await mortals.begin("dispatch", *begin)
    deadly.kill = lambda: os.kill(number, 9)
    deadly.when = how
    if how == "any":
        await asyncio.sleep(random.uniform(0, MAX_DELAY))
    else:
        await until(lambda: not deadly.when)
    assert await mortals.end("kill") == 9


async def test_a_dispatcher_that_is_killed_loses_nothing_and_repeats_only_what_it_must(
    database: str, mortals: KillableProcesses
) -> None:
    deadly = Deadly()
    with served_in_thread(deadly) as address:
        given = database, address + API
        for number, how in zip(range(KILLS), itertools.cycle(MOMENTS), strict=False):
            await execute(database, QUEUE, NEW)
            await dispatch(mortals, deadly, how, *given, str(number), LEASE)
        left = len(await execute(database, ABANDONED))
        await mortals.begin("dispatch", *given, str(KILLS), LEASE)
        await wait_for_rows(
            database, "select from gateway.outbox where state <> 'sent'", 0, 30 + LEASE
        )
        await mortals.end("kill")
    rows = await messages(database)
    assert len(rows) == KILLS * NEW
    judge(rows, deadly.heard)
    report(rows, deadly, left)


MOMENTS = ("any", "received", "answered")


def judge(rows: list[dict[str, Any]], heard: list[Heard]) -> None:
    """All were sent; what arrived twice was not known to be sent when its dispatcher died."""
    arrived: dict[str, list[Heard]] = defaultdict(list)
    for one in heard:
        arrived[one.message].append(one)
    for row in rows:
        times = arrived.pop(f"outbox-{row['id']}")
        assert row["state"] == "sent"
        # The last to arrive is the one that was noted: after it nobody sent it again.
        assert row["receipt"] == times[-1].receipt
        # And each of those before has a dispatcher of its own, which was killed before it noted it.
        assert len({one.by for one in times}) == len(times)
        assert len(times) <= row["attempts"]
    assert not arrived


def report(rows: list[dict[str, Any]], deadly: Deadly, left: int) -> None:
    times = Counter(Counter(one.message for one in deadly.heard).values())
    attempts = sum(row["attempts"] for row in rows)
    print(  # noqa: T201 - the figures are what it is for
        f"\n{KILLS} dispatchers killed, {deadly.killed} of them by Mandrill's hand; "
        f"{len(rows)} messages queued, {len(rows)} sent, 0 lost; {attempts} attempts, "
        f"{len(deadly.heard)} arrivals, {len(deadly.heard) - len(rows)} of them repeats, each of a "
        f"dispatcher killed between the arrival and its commit; messages by times: "
        f"{dict(sorted(times.items()))}; {left} abandoned at the end and taken up"
    )
