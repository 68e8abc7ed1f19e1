"""The webhook: events as in Standard Webhooks, on a real socket, without leaking its secrets."""

import base64
import hashlib
import hmac
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from starlette.responses import RedirectResponse, Response
from support.harness import Client, execute, on, serving, until
from support.mail import (
    disconnect_database,
    messages,
    notifications,
    retry_outstanding,
    wait_for_rows,
    wait_until_sent,
)
from support.mandrill import RecordingServer, served_in_thread
from support.probe import actions, apply_probe

from gateway.notifications import admin, recorder
from gateway.outbox import dispatcher

KEY = b"24 bytes that are secret"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
PATH = "/hooks/T0KEN"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "FLUSH_INTERVAL", 0.05)
    monkeypatch.setattr(recorder, "FORWARD_INTERVAL", 0.05)
    for interval in ("POLL_INTERVAL", "IDLE_INTERVAL"):
        monkeypatch.setattr(dispatcher, interval, 0.05)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[RecordingServer, str]]:
    server = RecordingServer()
    with served_in_thread(server.app) as address:
        yield server, address


@pytest.fixture
def receiver(served: tuple[RecordingServer, str]) -> RecordingServer:
    server = served[0]
    server.reply = Response()
    server.bodies.clear()
    server.headers.clear()
    return server


@asynccontextmanager
async def serving_with_webhook(
    database: str, tokens: dict[str, str], url: str, secret: str = SECRET
) -> AsyncIterator[Client]:
    """A client of a worker that posts to a webhook, after a crash."""
    await apply_probe(database)
    webhook = {"webhook_url": url, "webhook_secret": secret}
    async with serving(database, tokens, actions=actions(), **webhook) as client:
        await crash(client)
        yield client


async def crash(client: Client) -> None:
    await client.post("/api/v1/probe/crash", {"token": client.tokens["employee"]})


@pytest.fixture
async def notified(
    database: str,
    tokens: dict[str, str],
    receiver: RecordingServer,
    served: tuple[RecordingServer, str],
) -> AsyncIterator[Client]:
    assert not receiver.bodies
    async with serving_with_webhook(database, tokens, served[1] + PATH) as client:
        await wait_for_rows(database, "select from gateway.outbox where state = 'sent'", 1)
        yield client


def verified(receiver: RecordingServer, number: int, key: bytes = KEY) -> dict[str, Any]:
    """A received event; checks its signature, computed as the specification says."""
    headers, body = receiver.headers[number], receiver.bodies[number]
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert headers["content-type"] == "application/json"
    age = datetime.now(UTC).timestamp() - int(headers["webhook-timestamp"])
    assert -2 <= age <= 60
    event: dict[str, Any] = orjson.loads(body)
    return event


async def test_webhook_posts_raised_and_resolved_notifications_signed(
    notified: Client, receiver: RecordingServer
) -> None:
    [row] = await notifications(notified.database_url)
    await on(notified.database_url, lambda db: admin.resolve(db, [row["id"]], "ada"))
    await until(lambda: len(receiver.bodies) == 2)
    raised, resolved = verified(receiver, 0), verified(receiver, 1)
    assert (raised["type"], resolved["type"]) == ("notification.raised", "notification.resolved")
    assert datetime.fromisoformat(raised["timestamp"]) == row["first_seen"]
    assert datetime.fromisoformat(resolved["timestamp"]) > row["first_seen"]
    assert raised["data"].keys() == {
        *("id", "kind", "severity", "message", "route", "request_id"),
        *("first_seen", "last_seen", "count", "resolved_at", "resolved_by"),
    }
    for name in ("id", "kind", "severity", "message", "route", "request_id"):
        assert raised["data"][name] == resolved["data"][name] == row[name]
    assert (raised["data"]["resolved_by"], resolved["data"]["resolved_by"]) == (None, "ada")
    assert receiver.headers[0]["webhook-id"] != receiver.headers[1]["webhook-id"]
    await wait_until_sent(notified.database_url)
    assert [row["receipt"] for row in await messages(notified.database_url)] == ["HTTP 200"] * 2


async def test_webhook_does_not_repeat_a_notification_that_is_counted_up(notified: Client) -> None:
    await crash(notified)
    await wait_for_rows(
        notified.database_url, "select from gateway.notifications where count = 2", 1
    )
    for _ in range(3):
        await notified.worker.recorder.flush()
    assert len(await messages(notified.database_url)) == 1


@pytest.mark.parametrize(
    ("reply", "name", "state"),
    [
        (Response(status_code=500), "HTTP 500", "waiting"),
        (Response(status_code=404), "HTTP 404", "waiting"),
        (RedirectResponse("/elsewhere"), "HTTP 307", "waiting"),
        (Response(status_code=410), "HTTP 410", "parked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_webhook_is_retried_after_any_error_except_410(
    notified: Client, receiver: RecordingServer, reply: Response, name: str, state: str
) -> None:
    url = notified.database_url
    receiver.reply = reply
    await on(url, lambda db: admin.resolve(db, [], "ada"))
    await wait_for_rows(url, f"select from gateway.outbox where last_error = '{name}'", 1)
    *_, row = await messages(url)
    assert (row["state"], row["attempts"]) == (state, 1)
    assert len(await notifications(url)) == 1, "a webhook failure raises no notification"
    receiver.reply = Response()
    await retry_outstanding(url)
    await wait_until_sent(url)
    first, second = receiver.headers[-2:]
    assert first["webhook-id"] == second["webhook-id"]
    assert receiver.bodies[-2] == receiver.bodies[-1]
    assert verified(receiver, -1)["type"] == "notification.resolved"


LABEL = "a" * 64


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/T0KEN", f"http://{LABEL}.example/T0KEN"], ids=["port", "name"]
)
async def test_webhook_failure_is_logged_without_the_address(
    database: str, tokens: dict[str, str], url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving_with_webhook(database, tokens, url):
        await wait_for_rows(
            database, "select from gateway.outbox where attempts > 0 and claimed_at is null", 1
        )
    [row] = await messages(database)
    assert (row["state"], row["last_error"]) == ("waiting", "network")
    assert "cannot be reached" in caplog.text
    shown = caplog.text + str(row)
    for secret in ("T0KEN", LABEL, SECRET, KEY.decode()):
        assert secret not in shown


async def test_webhook_secret_may_be_any_text_and_is_optional(
    database: str,
    tokens: dict[str, str],
    receiver: RecordingServer,
    served: tuple[RecordingServer, str],
) -> None:
    async with serving_with_webhook(database, tokens, served[1], "plain text") as client:
        await until(lambda: receiver.bodies)
        assert verified(receiver, 0, b"plain text")["type"] == "notification.raised"
        await wait_until_sent(client.database_url)
    async with serving_with_webhook(database, tokens, served[1], "") as client:
        await on(database, lambda db: admin.resolve(db, [], "ada"))
        await until(lambda: len(receiver.bodies) >= 2)
    assert "webhook-signature" not in receiver.headers[-1]


async def test_webhook_without_an_address_posts_nothing(probe: Client) -> None:
    await crash(probe)
    await wait_for_rows(probe.database_url, "select from gateway.notifications", 1)
    for _ in range(3):
        await probe.worker.recorder.flush()
    assert not await messages(probe.database_url)


async def test_webhook_reports_a_database_outage_directly_and_once(
    notified: Client, receiver: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "PAGE_DELAY", 0.1)
    monkeypatch.setattr(recorder, "PAGE_INTERVAL", 0.1)
    posted, dsn = len(receiver.bodies), notified.worker.listener._dsn
    receiver.reply = Response(status_code=503)
    await disconnect_database(notified)
    await until(lambda: len(receiver.bodies) >= posted + 2)
    receiver.reply = Response()
    await until(lambda: notified.worker.recorder._next_page == math.inf)
    paged = len(receiver.bodies)
    event = verified(receiver, -1)
    assert event["type"] == "notification.raised"
    assert (event["data"]["kind"], event["data"]["severity"]) == ("database-lost", "critical")
    assert receiver.headers[-1]["webhook-id"].startswith("database-lost-")
    for _ in range(3):
        await notified.worker.recorder.flush()
    assert len(receiver.bodies) == paged
    notified.worker.listener._dsn = dsn
    await wait_for_rows(
        notified.database_url, "select from gateway.notifications where kind = 'database-lost'", 1
    )


async def test_webhook_secrets_are_not_stored(notified: Client) -> None:
    shown = str(await messages(notified.database_url)) + str(
        await execute(notified.database_url, "select * from gateway.notifications")
    )
    assert "T0KEN" not in shown
    assert SECRET not in shown
