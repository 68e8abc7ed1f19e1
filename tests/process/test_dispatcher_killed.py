"""A dispatcher that is killed again and again loses no message, and sends few of them twice.

`GATEWAY_TEST_KILLS` says how often; `-s` shows the figures.
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
"""Seconds; longer than an attempt takes."""

NEW = 3
MAX_DELAY = 0.15
SLOWEST = 0.06
"""Messages queued for each dispatcher; seconds that it lives at most; that an answer takes."""

QUEUE = """
select gateway.queue_mail(
    '{"route": "order_stages.create", "seconds": 0}', 'order-stage-changed',
    'client@example.com', 'Ben Stone', '{}', null, null
) from generate_series(1, $1)
"""
ABANDONED = "select from gateway.outbox where state = 'waiting' and attempts > 0"


class Arrival(NamedTuple):
    """A message as it arrived: its id, the dispatcher that sent it, and Mandrill's `_id`."""

    message: str
    dispatcher: int
    receipt: str


class Killer:
    """The stand-in for Mandrill; it may kill the sender when it has the mail or has answered.

    A dispatcher is recognised by its key.
    """

    def __init__(self) -> None:
        self._stand_in = StandIn()
        self.arrivals: list[Arrival] = []
        self.when = ""
        self.killed = 0
        self.kill: Callable[[], None] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body: dict[str, Any] = {}
        content = b""

        async def receive_mail() -> Any:
            nonlocal content, body
            event = await receive()
            content += event.get("body", b"")
            if event["type"] == "http.request" and not event["more_body"]:
                body = orjson.loads(content)
                self._strike("received")
            return event

        async def send_reply(event: Any) -> None:
            if event["type"] == "http.response.body" and event["body"]:
                [reply] = orjson.loads(event["body"])
                message = body["message"]["metadata"]["outbox"]
                self.arrivals.append(
                    Arrival(message=message, dispatcher=int(body["key"]), receipt=reply["_id"])
                )
            await send(event)
            if event["type"] == "http.response.body" and not event.get("more_body"):
                self._strike("answered")

        # Longer than the poll interval: no other attempt may begin while one is in progress.
        await asyncio.sleep(random.uniform(0, SLOWEST))
        await self._stand_in.app(scope, receive_mail, send_reply)

    def _strike(self, when: str) -> None:
        if self.when == when:
            self.when = ""
            self.killed += 1
            self.kill()


@pytest.fixture
def mortals() -> Iterator[KillableProcesses]:
    mortals = KillableProcesses()
    yield mortals
    mortals.close()


async def dispatch(mortals: KillableProcesses, killer: Killer, moment: str, *args: object) -> None:
    """Run a dispatcher until it is killed at a moment of this kind."""
    process_id = await mortals.begin("dispatch", *args)
    killer.kill = lambda: os.kill(process_id, 9)
    killer.when = moment
    if moment == "any":
        await asyncio.sleep(random.uniform(0, MAX_DELAY))
    else:
        await until(lambda: not killer.when)
    assert await mortals.end("kill") == 9


async def test_dispatcher_that_is_killed_loses_nothing_and_repeats_only_what_it_must(
    database: str, mortals: KillableProcesses
) -> None:
    killer = Killer()
    with served_in_thread(killer) as address:
        args = database, address + API
        for number, moment in zip(range(KILLS), itertools.cycle(MOMENTS), strict=False):
            await execute(database, QUEUE, NEW)
            await dispatch(mortals, killer, moment, *args, str(number), LEASE)
        abandoned = len(await execute(database, ABANDONED))
        await mortals.begin("dispatch", *args, str(KILLS), LEASE)
        await wait_for_rows(
            database, "select from gateway.outbox where state <> 'sent'", 0, 30 + LEASE
        )
        await mortals.end("kill")
    rows = await messages(database)
    assert len(rows) == KILLS * NEW
    check(rows, killer.arrivals)
    report(rows, killer, abandoned)


MOMENTS = ("any", "received", "answered")


def check(rows: list[dict[str, Any]], arrivals: list[Arrival]) -> None:
    """Every message was sent; one that arrived twice was not recorded before its sender died."""
    by_message: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_message[arrival.message].append(arrival)
    for row in rows:
        repeats = by_message.pop(f"outbox-{row['id']}")
        assert row["state"] == "sent"
        # The last arrival is the recorded one: after it the message was not sent again.
        assert row["receipt"] == repeats[-1].receipt
        # Each earlier one came from another dispatcher, which was killed before it recorded it.
        assert len({arrival.dispatcher for arrival in repeats}) == len(repeats)
        assert len(repeats) <= row["attempts"]
    assert not by_message


def report(rows: list[dict[str, Any]], killer: Killer, abandoned: int) -> None:
    times = Counter(Counter(arrival.message for arrival in killer.arrivals).values())
    attempts = sum(row["attempts"] for row in rows)
    print(  # noqa: T201 - the figures are what it is for
        f"\n{KILLS} dispatchers killed, {killer.killed} of them by the stand-in for Mandrill; "
        f"{len(rows)} messages queued, {len(rows)} sent, 0 lost; {attempts} attempts, "
        f"{len(killer.arrivals)} arrivals, {len(killer.arrivals) - len(rows)} of them repeats, "
        f"each of a dispatcher killed between the arrival and its commit; messages by times: "
        f"{dict(sorted(times.items()))}; {abandoned} abandoned at the end and retried"
    )
