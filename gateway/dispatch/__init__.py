"""Dispatch: run the action within the deadline, and let only documented statuses through."""

import asyncio

from gateway.actions import Action
from gateway.dispatch import idempotency
from gateway.statuses import SUCCESS
from gateway.values import Call, Reject, Reply, Request


class UndocumentedError(Exception):
    """A service refused with a status that its route does not document: a fault of the service."""


async def dispatch(request: Request, call: Call, action: Action) -> Reply:
    """The action's reply, or what it was under the same idempotency key, once its mail was sent.

    Raises Reject with a status of the route, or service-timeout if the deadline passes before
    anything was sent to the database; anything else that the service raises is passed on.
    """
    claimed = idempotency.claim(request, call)
    try:
        async with asyncio.timeout_at(call.deadline) as timer:
            call.db.sent = lambda: timer.reschedule(None)
            reply = await (idempotency.once(claimed, call, action) if claimed else action(call))
        return await call.mail.delivered(reply)
    except TimeoutError as error:
        if not timer.expired():
            raise
        raise Reject("service-timeout") from error
    except Reject as reject:
        if reject.slug in call.route.statuses and reject.slug != SUCCESS.slug:
            raise
        message = f"{call.route.handler} refused with {reject.slug!r}, which is not documented"
        raise UndocumentedError(message) from reject
