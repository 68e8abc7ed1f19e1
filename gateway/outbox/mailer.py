"""What a call has for mail: it queues messages with its rows, and its answer waits for them."""

import asyncio
from datetime import datetime
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
    """The mail of one call."""

    outbox: Outbox
    route: str
    request_id: str
    deadline: float

    @property
    def ticket(self) -> dict[str, Any]:
        """What `gateway.queue_mail` needs to know of the call, for services that write in SQL."""
        seconds = max(0.0, self.deadline - asyncio.get_running_loop().time())
        return {"route": self.route, "request_id": self.request_id, "seconds": seconds}

    async def queue(self, db: Connection, message: Message, about: str, about_id: int) -> int:
        """Queue a mail in a transaction of the service; the id is for the reply's `mail`."""
        args = self.ticket, *message, about, about_id
        queued: int = await db.fetchval(_SQL["queue_mail"], *args)
        return queued

    async def delivered(self, reply: Reply, mail: QueuedMail) -> Reply:
        """The reply, once its mail was sent. Raises Rejection: mandrill-email-failed."""
        sent_at = await self.outbox.deliver(mail.id, self.deadline)
        if sent_at is None:
            raise Rejection(statuses.MANDRILL_EMAIL_FAILED)
        return reply._replace(data=with_time(reply.data, mail.path, sent_at))


def with_time(data: Any, path: str, at: datetime) -> Any:  # noqa: ANN401 - JSON is any
    """A copy of some data with a time in the place that a dotted path leads to."""
    key, _, rest = path.partition(".")
    return {**data, key: with_time(data[key], rest, at) if rest else at}
