"""Idempotency keys and mail: a repeat neither runs nor mails again, and gets a true answer."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from support.harness import Client, execute, until
from support.mail import (
    MailSetup,
    create,
    messages,
    notifications,
    recipients,
    retry_outstanding,
    set_client_email,
    table,
    wait_for_rows,
    wait_until_sent,
)
from support.mandrill import running_stand_in

from gateway.dev import mandrill
from gateway.dev.mandrill import StandIn
from gateway.outbox import dispatcher
from gateway.outbox.mailer import Mailer

LATE = 2.0
"""Seconds after which the stand-in answers mail to `slow@`."""

SHORT_WAIT = 0.25
"""Seconds that a call waits for its mail in tests of a passed deadline."""


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[StandIn, str]]:
    with running_stand_in(LATE) as made:
        yield made


def slug(answer: httpx2.Response) -> str:
    return str(answer.json()["status"])


def is_replay(answer: httpx2.Response) -> bool:
    return "idempotent-replayed" in answer.headers


async def done_once(database: str) -> dict[str, Any]:
    """Check that there is one stage with one message; return the stage."""
    [stage], [_] = await table(database, "order_stages"), await messages(database)
    return stage


async def test_mail_repeat_after_sending_is_replayed_with_its_time(setup: MailSetup) -> None:
    async with setup.serving() as client:
        first, again = await create(client, "k"), await create(client, "k")
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert (is_replay(first), is_replay(again)) == (False, True)
    assert again.json()["data"]["order_stage"]["notified_at"]
    await done_once(setup.database)
    assert len(setup.stand_in.received) == 1


async def test_mail_repeat_during_sending_is_a_conflict(setup: MailSetup) -> None:
    async with setup.serving() as client:
        await set_client_email(client, "slow@x.y")
        waiting = asyncio.create_task(create(client, "k"))
        await until(lambda: setup.stand_in.received)
        meanwhile = await create(client, "k")
        assert not waiting.done()
        assert (meanwhile.status_code, slug(meanwhile)) == (409, "idempotency-conflict")
        first = await waiting
        again = await create(client, "k")
    assert slug(first) == slug(again) == "action-successful"
    assert (is_replay(again), first.content) == (True, again.content)
    assert len(setup.stand_in.received) == 1


async def test_mail_repeat_after_a_failure_fails_until_the_mail_is_sent(
    setup: MailSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with setup.serving() as client:
        await set_client_email(client, "payment@x.y")
        for _ in range(3):
            answer = await create(client, "k")
            assert (answer.status_code, slug(answer)) == (500, "mandrill-email-failed")
        assert len(setup.stand_in.received) == 1
        assert (await done_once(setup.database))["notified_at"] is None

        monkeypatch.delitem(mandrill.FAILURES, "payment")
        await retry_outstanding(setup.database)
        await wait_until_sent(setup.database)
        answer = await create(client, "k")
    assert (answer.status_code, is_replay(answer)) == (200, True)
    stage = await done_once(setup.database)
    answered = answer.json()["data"]["order_stage"]
    assert answered["id"] == stage["id"]
    assert answered["notified_at"] == stage["notified_at"].isoformat()
    assert recipients(setup.stand_in) == ["payment@x.y"] * 2


async def test_mail_repeat_after_discarding_still_fails(setup: MailSetup) -> None:
    async with setup.serving() as client:
        await set_client_email(client, "payment@x.y")
        await create(client, "k")
        await execute(setup.database, "update gateway.outbox set state = 'discarded'")
        assert slug(await create(client, "k")) == "mandrill-email-failed"
    assert len(setup.stand_in.received) == 1


@pytest.fixture
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls wait for their mail for less time than the stand-in takes."""

    def short_wait_mailer(outbox: Any, route: str, request_id: str, deadline: float) -> Mailer:
        earlier = asyncio.get_running_loop().time() + SHORT_WAIT
        return Mailer(outbox, route, request_id, min(earlier, deadline))

    monkeypatch.setattr("gateway.upstreams.call.Mailer", short_wait_mailer)


@pytest.mark.usefixtures("_short_wait")
async def test_mail_sent_after_the_deadline_is_reported_to_a_repeat(setup: MailSetup) -> None:
    async with setup.serving() as client:
        await set_client_email(client, "slow@x.y")
        first = await create(client, "k")
        assert (first.status_code, slug(first)) == (500, "mandrill-email-failed")
        # The deadlines of call and attempt differ by a moment.
        while (status := slug(await create(client, "k"))) == "idempotency-conflict":
            pass
        assert status == "mandrill-email-failed"
        [row] = await messages(setup.database)
        assert (row["state"], row["attempts"]) == ("waiting", 1)
        # No attempt has failed, but the caller was told that the mail failed.
        [late] = await notifications(setup.database)
        assert late["message"] == "A mail of the template order-stage-changed was not sent in time."
        await wait_until_sent(setup.database)
        [resolved] = await notifications(setup.database)
        assert resolved["resolved_by"] == "gateway"
        again = await create(client, "k")
    assert (again.status_code, is_replay(again)) == (200, True)
    stage = await done_once(setup.database)
    assert again.json()["data"]["order_stage"]["notified_at"] == stage["notified_at"].isoformat()
    assert len(setup.stand_in.received) == 1


async def test_mail_claimed_by_another_dispatcher_is_reported_if_late(
    setup: MailSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = "select id, kind, payload, attempts from gateway.outbox where id = $1 and $2 < 0.0"
    monkeypatch.setitem(dispatcher._SQL, "claim", nothing)
    async with setup.serving() as client:
        await set_client_email(client, "client@x.y")
        assert slug(await create(client, "k")) == "mandrill-email-failed"
        await wait_for_rows(setup.database, "select from gateway.notifications", 1)


async def test_mail_is_sent_and_replayed_after_its_client_left(setup: MailSetup) -> None:
    async with setup.serving() as client:
        await set_client_email(client, "slow@x.y")
        leaving = asyncio.create_task(create(client, "k"))
        await until(lambda: setup.stand_in.received)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await wait_until_sent(setup.database)
        again = await create(client, "k")
    assert (again.status_code, is_replay(again)) == (200, True)
    await done_once(setup.database)
    assert len(setup.stand_in.received) == 1


async def create_repeatedly(client: Client) -> list[httpx2.Response]:
    return await asyncio.gather(*(create(client, "k") for _ in range(100)))


OUTCOMES = {
    "client@x.y": {(200, "action-successful"), (409, "idempotency-conflict")},
    "slow@x.y": {(200, "action-successful"), (409, "idempotency-conflict")},
    "payment@x.y": {(500, "mandrill-email-failed"), (409, "idempotency-conflict")},
}


@pytest.mark.parametrize(("email", "expected"), OUTCOMES.items(), ids=OUTCOMES)
async def test_mail_of_100_concurrent_repeats_is_sent_once(
    setup: MailSetup, email: str, expected: set[tuple[int, str]]
) -> None:
    async with setup.serving() as client:
        await set_client_email(client, email)
        answers = await create_repeatedly(client)
        outcomes = Counter((answer.status_code, slug(answer)) for answer in answers)
        assert set(outcomes) <= expected
        assert set(outcomes) - {(409, "idempotency-conflict")}, "one of the calls must run"
        good = [answer for answer in answers if answer.status_code == 200]
        assert sum(not is_replay(answer) for answer in good) == (1 if good else 0)
        assert len({answer.content for answer in good}) <= 1
        last = await create(client, "k")
    assert (last.status_code, slug(last)) == next(iter(expected - {(409, "idempotency-conflict")}))
    await done_once(setup.database)
    assert recipients(setup.stand_in) == [email]
