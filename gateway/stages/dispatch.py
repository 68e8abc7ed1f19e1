"""Dispatch: perform the action, and let only documented statuses through."""

from gateway.statuses import SUCCESS
from gateway.upstreams.action import Action
from gateway.upstreams.call import Call
from gateway.values import Rejection, Reply


class UndocumentedError(Exception):
    """A service refused with a status that its route does not document: a bug of the service."""


async def dispatch(call: Call, action: Action) -> Reply:
    """The action's reply, or the stored one of its idempotency key, once its mail was sent.

    Raises Rejection with a status of the route. Everything else that the action raises is passed
    on.
    """
    try:
        reply = await action.perform(call)
        return await call.mail.delivered(reply, reply.mail) if reply.mail else reply
    except Rejection as rejection:
        if rejection.slug in call.route.statuses and rejection.slug != SUCCESS.slug:
            raise
        message = f"{call.route.handler} refused with {rejection.slug!r}, which is not documented"
        raise UndocumentedError(message) from rejection
