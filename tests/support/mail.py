"""Calls that send mail, and their results: outbox messages, notifications, received mail."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import httpx2
import pytest

from gateway.dev.mandrill import API, StandIn
from gateway.outbox import admin, dispatcher
from support.harness import Client, execute, on, serving, until
from support.mandrill import KEY

CREATE = "/api/v1/order_stages/create"
STAGE = {"order_id": 7, "update_status": True, "stage": "scheduled", "event_slug": "stage-changed"}
EMAIL = "client@example.com"


class MailSetup(NamedTuple):
    """A database with the demo, and a stand-in for Mandrill at an address."""

    database: str
    tokens: dict[str, str]
    stand_in: StandIn
    address: str

    @classmethod
    def with_fast_polling(cls, monkeypatch: pytest.MonkeyPatch, *fields: Any) -> "MailSetup":
        """A setup whose workers poll the outbox more often; delays of retries are unchanged."""
        for interval in ("POLL_INTERVAL", "IDLE_INTERVAL"):
            monkeypatch.setattr(dispatcher, interval, 0.05)
        setup = cls(*fields)
        setup.stand_in.received.clear()
        return setup

    def serving(self, **changes: str) -> AbstractAsyncContextManager[Client]:
        """A client of a worker that sends its mail to the stand-in."""
        mandrill = {"mandrill_url": self.address + API, "mandrill_api_key": KEY}
        return serving(self.database, self.tokens, actions=None, **{**mandrill, **changes})


async def create(
    client: Client, key: str | None = None, caller: str = "employee", **params: Any
) -> httpx2.Response:
    """Create a stage whose event has a mail; `key` is an idempotency key."""
    all_params = {"token": client.tokens[caller], **STAGE, **params}
    return await client.post(CREATE, all_params, headers={"idempotency-key": key} if key else {})


async def set_client_email(client: Client, email: str | None) -> None:
    """Change the e-mail address of the client of the demo's orders; None detaches its user."""
    if email is None:
        await execute(client.database_url, "update gateway.clients set user_id = null")
    else:
        await execute(
            client.database_url, "update gateway.users set email = $1 where id = 2", email
        )


async def table(url: str, name: str) -> list[dict[str, Any]]:
    """All rows of a table, by the first column."""
    return [dict(row) for row in await execute(url, f"select * from {name} order by 1")]


async def messages(url: str) -> list[dict[str, Any]]:
    return await table(url, "gateway.outbox")


async def notifications(url: str) -> list[dict[str, Any]]:
    return await table(url, "gateway.notifications")


async def retry_outstanding(url: str) -> None:
    """Retry every outstanding message at once, as an operator does."""
    ids = [row["id"] for row in await messages(url) if row["state"] in admin.OUTSTANDING]
    assert ids
    await on(url, lambda db: admin.retry(db, ids))


async def wait_until_sent(url: str, seconds: float = 10) -> None:
    """Wait until no message is outstanding."""
    await wait_for_rows(
        url, "select from gateway.outbox where state in ('waiting', 'parked')", 0, seconds
    )


async def wait_for_rows(url: str, query: str, count: int, seconds: float = 10) -> None:
    """Wait until a query returns `count` rows."""
    async with asyncio.timeout(seconds):
        while len(await execute(url, query)) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def recipients(stand_in: StandIn) -> list[str]:
    """The recipients of the received mail, newest first."""
    return [entry.message["to"][0]["email"] for entry in stand_in.received]


async def disconnect_database(client: Client) -> None:
    """Let the worker find no server any more; `listener._dsn` brings it back."""
    client.worker.listener._dsn = "postgresql://nobody@127.0.0.1:1/nothing"
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
    await execute(client.database_url, f"{ended} and datname = current_database()")
    await until(lambda: client.worker.outbox_pool.problem)
