"""The mail of an order stage: sent before the answer, or kept, reported, and sent later."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx2
import pytest
from support.harness import execute, until
from support.mail import (
    EMAIL,
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
from support.mandrill import KEY
from support.manifests import set_events

from gateway.database.connect import connect
from gateway.database.pool import Pool
from gateway.dev import mandrill
from gateway.outbox import dispatcher
from gateway.outbox.mailer import Mailer
from gateway.outbox.transport import Message

Repair = Callable[[pytest.MonkeyPatch], None]


def ago(**past: float) -> datetime:
    return datetime.now(UTC) - timedelta(**past)


async def test_mail_of_an_event_is_sent_before_the_answer(setup: MailSetup) -> None:
    async with setup.serving() as client:
        answer = await create(client)
    assert (answer.status_code, answer.json()["status"]) == (200, "action-successful")
    [stage] = await table(setup.database, "order_stages")
    notified_at = answer.json()["data"]["order_stage"]["notified_at"]
    assert datetime.fromisoformat(notified_at) == stage["notified_at"] > stage["stage_start_at"]
    assert notified_at.endswith("+00:00")
    [row] = await messages(setup.database)
    assert (row["state"], row["attempts"], row["sent_at"]) == ("sent", 1, stage["notified_at"])
    assert (row["about"], row["about_id"], row["last_error"]) == ("order_stages", stage["id"], None)
    [received] = setup.stand_in.received
    assert received.template == "order-stage-changed"
    assert received.message["to"] == [{"email": EMAIL, "name": "Ben Stone", "type": "to"}]
    assert received.message["metadata"] == {"outbox": f"outbox-{row['id']}"}
    merged = {var["name"]: var["content"] for var in received.message["global_merge_vars"]}
    assert datetime.fromisoformat(merged.pop("stage_start_at")) == stage["stage_start_at"]
    assert merged == {
        "order_id": 7,
        "order_request_id": 1007,
        "stage": "scheduled",
        "client_name": "Ben Stone",
    }
    assert not await notifications(setup.database)


@pytest.mark.parametrize(
    "params",
    [
        {"event_slug": ...},
        {"event_slug": "without-template"},
        {"notified_at_mt": "2026-01-02T03:04:05Z"},
    ],
    ids=lambda params: "".join(map(str, params.values())),
)
async def test_mail_is_not_sent_without_a_template_or_if_already_notified(
    setup: MailSetup, params: dict[str, Any]
) -> None:
    events = {"stage-changed": {"mail_template": "order-stage-changed"}, "without-template": {}}
    await set_events(setup.database, events)
    all_params = {"order_id": 7, "event_slug": "stage-changed", **params}
    async with setup.serving() as client:
        answer = await client.create_stage(**all_params)
    assert answer.json()["status"] == "action-successful"
    expected = "2026-01-02T03:04:05.000000+00:00" if "notified_at_mt" in params else None
    assert answer.json()["data"]["order_stage"]["notified_at"] == expected
    assert not await messages(setup.database)
    assert not setup.stand_in.received


async def test_mail_of_the_demo_s_order_99_fails(setup: MailSetup) -> None:
    async with setup.serving() as client:
        answer = await create(client, order_id=99)
    assert (answer.status_code, answer.json()["status"]) == (500, "mandrill-email-failed")
    assert recipients(setup.stand_in) == ["payment@example.com"]


async def test_mail_time_of_the_answer_has_six_digits_of_a_second(setup: MailSetup) -> None:
    async with setup.serving() as client:
        answer = await create(client)
    notified_at = answer.json()["data"]["order_stage"]["notified_at"]
    assert len(notified_at) == len("2026-01-02T03:04:05.000000+00:00")


async def test_mail_is_not_sent_for_a_refused_call(setup: MailSetup) -> None:
    async with setup.serving() as client:
        assert (await create(client, order_id=4711)).json()["status"] == "invalid-param"
    assert not await messages(setup.database)
    assert not setup.stand_in.received


def _accept(word: str) -> Repair:
    """Let the stand-in treat a recipient like any other."""

    def repair(monkeypatch: pytest.MonkeyPatch) -> None:
        for failures in (mandrill.FAILURES, mandrill.REFUSALS):
            monkeypatch.delitem(failures, word, raising=False)

    return repair


def _create_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mandrill, "TEMPLATES", {*mandrill.TEMPLATES, "no-such-template"})


def _correct_settings(_: pytest.MonkeyPatch) -> None:
    """The next worker has the right settings anyway."""


class Failure(NamedTuple):
    """A mail's `last_error`, a part of the notification, its state, and the repair."""

    name: str
    message: str
    state: str
    repair: Repair
    email: str = EMAIL
    template: str = "order-stage-changed"
    key: str = KEY


FAILURES = {
    "unknown template": Failure(
        "Unknown_Template", "no template", "parked", _create_template, template="no-such-template"
    ),
    "invalid key": Failure(
        "Invalid_Key", "refuses the key", "parked", _correct_settings, key="invalid-k"
    ),
    "no key": Failure("missing key", "is not set", "parked", _correct_settings, key=""),
    "payment required": Failure(
        "PaymentRequired", "a payment", "parked", _accept("payment"), "payment@x.y"
    ),
    "unknown subaccount": Failure(
        "Unknown_Subaccount",
        "Unknown_Subaccount",
        "parked",
        _accept("subaccount"),
        "subaccount@x.y",
    ),
    "general error": Failure(
        "GeneralError", "GeneralError", "waiting", _accept("general"), "general@x.y"
    ),
    "rejected": Failure(
        "rejected: hard-bounce", "hard-bounce", "parked", _accept("rejected"), "rejected@x.y"
    ),
    "invalid recipient": Failure(
        "invalid: invalid", "invalid", "parked", _accept("invalid"), "invalid@x.y"
    ),
    "HTML": Failure("HTTP 502", "HTTP 502", "waiting", _accept("html"), "html@x.y"),
    "too many": Failure("HTTP 429", "HTTP 429", "waiting", _accept("limited"), "limited@x.y"),
    "late": Failure("timeout", "in time", "waiting", _accept("slow"), "slow@x.y"),
    "dropped": Failure("network", "not be reached", "waiting", _accept("drop"), "drop@x.y"),
}


async def fail(setup: MailSetup, failure: Failure) -> httpx2.Response:
    """Create a stage whose mail fails in this way."""
    await set_events(setup.database, {"stage-changed": {"mail_template": failure.template}})
    async with setup.serving(mandrill_api_key=failure.key) as client:
        if failure.name == "timeout":
            client.worker.mandrill._timeout = (3.05, 0.3)
        await set_client_email(client, failure.email)
        return await create(client)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_mail_that_fails_is_kept_reported_and_sent_on_retry(
    setup: MailSetup,
    failure: Failure,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = await fail(setup, failure)
    assert (answer.status_code, answer.json()["status"]) == (500, "mandrill-email-failed")
    [stage], [_] = (
        await table(setup.database, "order_stages"),
        await table(setup.database, "order_statuses"),
    )
    assert stage["notified_at"] is None
    await _assert_kept(setup.database, failure)
    message = await _notification_of(setup.database, failure, answer.json()["request_id"])
    for secret in (failure.key or KEY, failure.email):
        assert secret not in message + caplog.text + answer.text

    failure.repair(monkeypatch)
    setup.stand_in.received.clear()
    async with setup.serving():
        await retry_outstanding(setup.database)
        await wait_until_sent(setup.database)
    assert recipients(setup.stand_in) == [failure.email]
    [row], [stage] = await messages(setup.database), await table(setup.database, "order_stages")
    assert (row["state"], row["attempts"], row["last_error"]) == ("sent", 2, None)
    assert stage["notified_at"] == row["sent_at"]
    [notification] = await notifications(setup.database)
    assert notification["resolved_by"] == "gateway"


async def _assert_kept(database: str, failure: Failure) -> None:
    """The message waits for a retry, or is parked for an operator."""
    [row] = await messages(database)
    assert row["state"] == failure.state
    assert (row["attempts"], row["last_error"]) == (1, failure.name)
    assert (row["sent_at"], row["claimed_at"], row["awaited_until"]) == (None, None, None)
    if failure.state == "waiting":
        assert row["next_at"] > datetime.now(UTC)


async def _notification_of(database: str, failure: Failure, request_id: str) -> str:
    """Check the only notification; return its message."""
    [row] = await notifications(database)
    assert (row["kind"], row["severity"]) == ("mandrill-email-failed", "error")
    assert (row["route"], row["request_id"]) == ("order_stages.create", request_id)
    assert (row["count"], row["resolved_at"]) == (1, None)
    assert failure.message in row["message"]
    return str(row["message"])


@pytest.mark.parametrize("email", [None, ""])
async def test_mail_to_a_client_without_an_address_is_parked_and_reported(
    setup: MailSetup, email: str | None
) -> None:
    async with setup.serving() as client:
        await set_client_email(client, email)
        answer = await create(client)
    assert (answer.status_code, answer.json()["status"]) == (500, "mandrill-email-failed")
    [row], [notification] = await messages(setup.database), await notifications(setup.database)
    assert (row["state"], row["last_error"]) == ("parked", "no recipient")
    assert "no e-mail address" in notification["message"]
    assert not setup.stand_in.received


async def test_mail_failures_of_one_kind_share_a_notification_until_all_are_sent(
    setup: MailSetup,
) -> None:
    async with setup.serving() as client:
        await set_client_email(client, "payment@x.y")
        answers = [await create(client, order_id=number) for number in (7, 8, 9)]
        [row] = await notifications(setup.database)
        assert (row["count"], row["request_id"]) == (3, answers[-1].json()["request_id"])
        ids = [message["id"] for message in await messages(setup.database)]
        await repair_and_retry(setup.database, ids[:2])
        await wait_for_rows(setup.database, "select from gateway.outbox where state = 'sent'", 2)
        assert (await notifications(setup.database))[0]["resolved_at"] is None
        await repair_and_retry(setup.database, ids[2:])
        await wait_until_sent(setup.database)
    [row] = await notifications(setup.database)
    assert row["resolved_by"] == "gateway"
    assert recipients(setup.stand_in)[:3] == ["well@x.y"] * 3


async def repair_and_retry(database: str, ids: list[int]) -> None:
    await execute(
        database,
        "update gateway.outbox set state = 'waiting', next_at = now(), "
        """payload = payload || '{"email": "well@x.y"}' where id = any ($1)""",
        ids,
    )


async def test_mail_retry_delays_grow_with_jitter_up_to_a_maximum(
    setup: MailSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "MIN_BACKOFF", 1000.0)
    monkeypatch.setattr(dispatcher, "MAX_BACKOFF", 6000.0)
    failed = "select from gateway.outbox where attempts = {} and claimed_at is null"
    async with setup.serving() as client:
        await set_client_email(client, "general@x.y")
        await asyncio.gather(*(create(client, order_id=number) for number in range(1, 9)))
        for attempt, longest in enumerate((1000, 2000, 4000, 6000, 6000), 1):
            await wait_for_rows(setup.database, failed.format(attempt), 8)
            pauses = [
                (row["next_at"] - ago()).total_seconds() for row in await messages(setup.database)
            ]
            assert min(pauses) > longest / 2 - 60, "a minute for the test itself"
            assert max(pauses) <= longest
            assert max(pauses) - min(pauses) > longest / 100
            await retry_outstanding(setup.database)
    assert len(setup.stand_in.received) >= 40


async def test_mail_that_fails_for_days_is_parked_and_can_still_be_retried(
    setup: MailSetup,
) -> None:
    old = f"update gateway.outbox set created_at = now() - interval '{dispatcher.MAX_RETRY_AGE} s'"
    async with setup.serving() as client:
        await set_client_email(client, "general@x.y")
        await create(client)
        assert (await messages(setup.database))[0]["state"] == "waiting"
        for attempts in (2, 3):
            await execute(setup.database, old)
            await retry_outstanding(setup.database)
            await wait_for_rows(
                setup.database, f"select from gateway.outbox where attempts = {attempts}", 1
            )
            await wait_for_rows(
                setup.database, "select from gateway.outbox where state = 'parked'", 1
            )
    [row] = await notifications(setup.database)
    assert (row["count"], row["resolved_at"]) == (3, None)
    assert len(setup.stand_in.received) == 3


async def test_mail_is_parked_and_reported_if_the_gateway_itself_fails(
    setup: MailSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CrashingTransport:
        async def send(self, *_: object) -> str:
            raise KeyError

    async with setup.serving() as client:
        monkeypatch.setitem(client.worker.outbox._transports, "mail", CrashingTransport())
        assert (await create(client)).json()["status"] == "mandrill-email-failed"
    [row] = await messages(setup.database)
    assert (row["state"], row["last_error"]) == ("parked", "fault")
    [notification] = await notifications(setup.database)
    assert notification["message"].endswith("The gateway failed to send it: KeyError.")


QUEUE = """
select gateway.queue_mail(
    '{"seconds": 0}', 'order-stage-changed', 'client@example.com', 'Ben Stone', '{}',
    'order_stages', (select max(id) from order_stages)
)
"""


async def test_mail_that_was_sent_is_not_repeated_while_its_row_is_locked(
    setup: MailSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another transaction holds the row into which the time of the mail is written."""
    # As in production, a lease outlasts an attempt to record the mail and a lost connection.
    monkeypatch.setattr(dispatcher, "LEASE", 2.5)
    monkeypatch.setattr(dispatcher, "DATABASE_TIMEOUT", 0.2)
    async with setup.serving() as client:
        await client.create_stage(order_id=7)
        locker = await connect(setup.database)
        async with locker.transaction():
            await locker.execute("select from order_stages for update")
            await execute(setup.database, QUEUE)
            await until(lambda: setup.stand_in.received)
            await asyncio.sleep(5)
        await locker.close()
        await wait_until_sent(setup.database)
    assert len(setup.stand_in.received) == 1


async def test_mail_is_not_delayed_by_a_hanging_webhook(setup: MailSetup) -> None:
    class HangingTransport:
        async def send(self, *_: object) -> str:
            await asyncio.Event().wait()
            raise AssertionError

    class WorkingTransport:
        async def send(self, *_: object) -> str:
            return "sent"

    many = "select 'webhook', '{}' from generate_series(1, 9)"
    await execute(setup.database, f"insert into gateway.outbox (kind, payload) {many}")
    await execute(setup.database, QUEUE)
    pool = Pool(setup.database, 2)
    outbox = dispatcher.Outbox(pool, {"mail": WorkingTransport(), "webhook": HangingTransport()})
    running = asyncio.create_task(outbox.run())
    await wait_for_rows(setup.database, "select from gateway.outbox where state = 'sent'", 1)
    tasks = [running, *outbox._tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await pool.close()


async def test_mail_queued_in_a_transaction_is_kept_or_lost_with_it(setup: MailSetup) -> None:
    """A service may queue a mail in its own transaction."""
    pool = Pool(setup.database, 2)
    deadline = asyncio.get_running_loop().time() + 10
    mailer = Mailer(dispatcher.Outbox(pool, {}), "orders.tell", "r1", deadline)
    message = Message("order-stage-changed", EMAIL, "Ben Stone", {"order_id": 7})
    db = await connect(setup.database)
    for commits in (False, True):
        transaction = db.transaction()
        await transaction.start()
        message_id = await mailer.queue(db, message, "orders", 7)
        await (transaction.commit() if commits else transaction.rollback())
    await db.close()
    await pool.close()
    [row] = await messages(setup.database)
    assert (row["id"], row["payload"]) == (message_id, message._asdict())
    assert (row["route"], row["request_id"]) == ("orders.tell", "r1")
    assert (row["about"], row["about_id"], row["state"]) == ("orders", 7, "waiting")
