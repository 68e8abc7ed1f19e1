"""The end of a run: waits until everything is sent, and reads what the database holds."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from chaos.postgres import SQL
from chaos.record import Mail, Rows
from gateway.database.connect import Connection
from gateway.outbox import admin
from gateway.outbox.admin import OutboxError

SEND_TIMEOUT = 120.0
"""Seconds until the outbox must be empty: the lease of a dead sender alone is 30 s."""

POLL_INTERVAL = 0.25
QUIET = 2.0
"""Seconds after which an attempt that is still in progress is that of a dead sender."""


class Server(Protocol):
    """A server that may be away for a time."""

    def connected(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for the length of a block, once the server accepts one."""


async def wait_until_sent(postgres: Server, *, hurry: bool) -> float:
    """Retry what is not sent, as an operator does, until all is sent; return the seconds.

    Messages of a dead sender wait for the end of their lease, or with `hurry` only a moment.
    """
    started = time.monotonic()
    async with postgres.connected() as db:
        while rows := await db.fetch(SQL["outstanding"]):
            seconds = time.monotonic() - started
            if seconds > SEND_TIMEOUT:
                break
            ready = [row["id"] for row in rows if not row["is_claimed"] and not row["is_awaited"]]
            if hurry and seconds > QUIET and not ready:
                await db.execute(SQL["end_leases"])
            await _retry(db, ready)
            await asyncio.sleep(POLL_INTERVAL)
    return time.monotonic() - started


async def _retry(db: Connection, ids: list[int]) -> None:
    if ids:
        try:
            await admin.retry(db, ids)
        except OutboxError:
            # A worker has begun an attempt since.
            return


async def read(db: Connection) -> Rows:
    """Everything that the judge compares answers with."""
    stages = await db.fetch(SQL["stages"])
    statuses = await db.fetch(SQL["statuses"])
    mails = await db.fetch(SQL["mails"])
    return Rows(
        stages={row["notes"]: row["ids"] for row in stages},
        statuses={row["id"]: (row["name"], row["color"]) for row in statuses},
        sessions=frozenset(row["id"] for row in await db.fetch(SQL["sessions"])),
        revisions=frozenset(row["id"] for row in await db.fetch(SQL["revisions"])),
        mails={row["id"]: Mail(stage=row["about_id"], state=row["state"]) for row in mails},
        torn=[row["id"] for row in await db.fetch(SQL["torn"])],
    )
