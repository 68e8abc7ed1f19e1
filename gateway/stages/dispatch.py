"""Dispatch: perform the action, and pass on only the statuses that the route documents."""

from gateway.statuses import SUCCESS
from gateway.upstreams.action import Action, wrong_reply
from gateway.upstreams.call import Call
from gateway.values import Rejection, Reply


class UndocumentedError(Exception):
    """A service refused with a status that its route does not document: a bug of the service."""


async def dispatch(call: Call, action: Action) -> Reply:
    """The reply of the action, or the stored reply of its idempotency key; its mail is sent.

    Raises Rejection with a status that the route documents, UndocumentedError for any other
    status, TypeError for a reply that is not a Reply, and whatever else the action raises.
    """
    try:
        reply = await action.perform(call)
        if not isinstance(reply, Reply):
            raise wrong_reply(call.route.handler, reply)
        return await call.mail.deliver(reply, reply.mail) if reply.mail else reply
    except Rejection as rejection:
        if rejection.slug in call.route.statuses and rejection.slug != SUCCESS.slug:
            raise
        message = f"{call.route.handler} refused with {rejection.slug!r}, which is not documented"
        raise UndocumentedError(message) from rejection
