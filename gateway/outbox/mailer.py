"""The mail of a call: it is queued in the service's transaction, and the answer waits for it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from gateway import statuses
from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.outbox.dispatcher import Outbox
from gateway.outbox.transport import Message
from gateway.values import QueuedMail, Rejection, Reply

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class Mailer(NamedTuple):
    """Queues the mail of one call; `deadline` is the call's, by the loop's clock."""

    outbox: Outbox
    route: str
    request_id: str
    deadline: float

    @property
    def ticket(self) -> dict[str, Any]:
        """The first argument of the SQL function `gateway.queue_mail`: which call queues a mail."""
        seconds = max(0.0, self.deadline - asyncio.get_running_loop().time())
        return {"route": self.route, "request_id": self.request_id, "seconds": seconds}

    async def queue(self, db: Connection, message: Message, about: str, about_id: int) -> int:
        """Queue a mail in the service's transaction; return its id, for the reply's `mail`.

        `about` and `about_id` are the table and the id of the row that the mail is about.
        """
        args = self.ticket, *message, about, about_id
        message_id: int = await db.fetchval(_SQL["queue_mail"], *args)
        return message_id

    async def deliver(self, reply: Reply, mail: QueuedMail) -> Reply:
        """Wait until the reply's mail is sent; return the reply with the time of sending.

        Raises Rejection: mandrill-email-failed.
        """
        sent_at = await self.outbox.deliver(mail.id, self.deadline)
        if sent_at is None:
            raise Rejection(statuses.MANDRILL_EMAIL_FAILED)
        return reply._replace(data=with_time(reply.data, mail.path, sent_at))


def with_time(data: Any, path: str, time: datetime) -> Any:  # noqa: ANN401 - JSON is any
    """A copy of `data` with a time set at a dotted path, such as `order_stage.notified_at`.

    The time is written in UTC, always with six digits of a second, as fixed-width parsers need it.
    """
    key, _, subpath = path.partition(".")
    inner = with_time(data[key], subpath, time) if subpath else _iso_8601(time)
    return {**data, key: inner}


def _iso_8601(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")
