"""Calls that mail, and what they leave: messages of the outbox, notifications, mail received."""

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


class Post(NamedTuple):
    """A database of the demo, and a stand-in for Mandrill at an address."""

    database: str
    tokens: dict[str, str]
    stand_in: StandIn
    address: str

    @classmethod
    def hurried(cls, monkeypatch: pytest.MonkeyPatch, *of: Any) -> "Post":
        """Workers look into the outbox more often; how long they pause is left as it is."""
        monkeypatch.setattr(dispatcher, "POLL_INTERVAL", 0.05)
        made = cls(*of)
        made.stand_in.received.clear()
        return made

    def serving(self, **changes: str) -> AbstractAsyncContextManager[Client]:
        """A client of a worker whose mail goes to the stand-in."""
        mandrill = {"mandrill_url": self.address + API, "mandrill_api_key": KEY}
        return serving(self.database, self.tokens, actions=None, **{**mandrill, **changes})


async def create(
    client: Client, key: str | None = None, caller: str = "employee", **params: Any
) -> httpx2.Response:
    """A stage whose event has a mail, under a key if one is given."""
    given = {"token": client.tokens[caller], **STAGE, **params}
    return await client.post(CREATE, given, headers={"idempotency-key": key} if key else {})


async def read_at(client: Client, email: str | None) -> None:
    """Give the client of the demo's orders another e-mail address, or no user."""
    if email is None:
        await execute(client.database_url, "update clients set user_id = null")
    else:
        await execute(client.database_url, "update users set email = $1 where id = 2", email)


async def table(url: str, name: str) -> list[dict[str, Any]]:
    """All rows of a table, oldest first."""
    return [dict(row) for row in await execute(url, f"select * from {name} order by 1")]


async def messages(url: str) -> list[dict[str, Any]]:
    return await table(url, "gateway.outbox")


async def notifications(url: str) -> list[dict[str, Any]]:
    return await table(url, "gateway.notifications")


async def retry(url: str) -> None:
    """Let all that is not sent be tried at once, as ops do."""
    numbers = [row["id"] for row in await messages(url) if row["state"] in admin.OUTSTANDING]
    assert numbers
    await on(url, lambda db: admin.retry(db, numbers))


async def sent(url: str, seconds: float = 10) -> None:
    """Wait until nothing is outstanding."""
    await rows_are(
        url, "select from gateway.outbox where state in ('waiting', 'parked')", 0, seconds
    )


async def rows_are(url: str, query: str, count: int, seconds: float = 10) -> None:
    """Wait until a query finds so many rows."""
    async with asyncio.timeout(seconds):
        while len(await execute(url, query)) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def recipients(stand_in: StandIn) -> list[str]:
    """Who was written to, the newest first."""
    return [entry.message["to"][0]["email"] for entry in stand_in.received]


async def lose(client: Client) -> None:
    """Let the worker's watch find no server any more; `watch._dsn` brings it back."""
    client.worker.heartbeat._dsn = "postgresql://nobody@127.0.0.1:1/nothing"
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
    await execute(client.database_url, f"{ended} and datname = current_database()")
    await until(lambda: client.worker.outbox_pool.problem)
