"""Dispatch: run the action within the deadline, and let only documented statuses through."""

from gateway import statuses
from gateway.runtime.lazy_timeout import LazyTimeout
from gateway.statuses import SUCCESS
from gateway.upstreams import idempotency
from gateway.upstreams.batch import Batches
from gateway.upstreams.call import Call
from gateway.upstreams.idempotency import Claim
from gateway.upstreams.python import Action, BatchedAction, Single
from gateway.values import Rejection, Reply, Request


class UndocumentedError(Exception):
    """A service refused with a status that its route does not document: a fault of the service."""


async def dispatch(request: Request, call: Call, action: Action, batches: Batches) -> Reply:
    """The action's reply, or what it was under the same idempotency key, once its mail was sent.

    Raises Rejection with a status of the route, or service-timeout if the deadline passes before
    anything was sent to the database; anything else that the service raises is passed on.
    """
    claimed = idempotency.claim(request, call)
    try:
        if isinstance(action, BatchedAction):
            reply = await batches.submit(action, call, claimed)
        else:
            reply = await _alone(action, call, claimed)
        return await call.mail.delivered(reply, reply.mail) if reply.mail else reply
    except Rejection as rejection:
        if rejection.slug in call.route.statuses and rejection.slug != SUCCESS.slug:
            raise
        message = f"{call.route.handler} refused with {rejection.slug!r}, which is not documented"
        raise UndocumentedError(message) from rejection


async def _alone(action: Single, call: Call, claimed: Claim | None) -> Reply:
    work = idempotency.once(claimed, call, action) if claimed else action(call)
    deadline = LazyTimeout(work, call.deadline)
    call.db.sent = deadline.lift
    try:
        return await deadline
    except TimeoutError as error:
        if not deadline.expired:
            raise
        raise Rejection(statuses.SERVICE_TIMEOUT) from error
