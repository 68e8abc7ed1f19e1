"""Dispatch: run the action within the deadline, and let only documented statuses through."""

from gateway.runtime.lazy_timeout import Deadline
from gateway.statuses import SUCCESS
from gateway.upstreams import idempotency
from gateway.upstreams.batch import Batches
from gateway.upstreams.call import Call
from gateway.upstreams.idempotency import Claim
from gateway.upstreams.python import Action, Batched, Single
from gateway.values import Reject, Reply, Request


class UndocumentedError(Exception):
    """A service refused with a status that its route does not document: a fault of the service."""


async def dispatch(request: Request, call: Call, action: Action, batches: Batches) -> Reply:
    """The action's reply, or what it was under the same idempotency key, once its mail was sent.

    Raises Reject with a status of the route, or service-timeout if the deadline passes before
    anything was sent to the database; anything else that the service raises is passed on.
    """
    claimed = idempotency.claim(request, call)
    try:
        if isinstance(action, Batched):
            reply = await batches.join(action, call, claimed)
        else:
            reply = await _alone(action, call, claimed)
        return await call.mail.delivered(reply, reply.mail) if reply.mail else reply
    except Reject as reject:
        if reject.slug in call.route.statuses and reject.slug != SUCCESS.slug:
            raise
        message = f"{call.route.handler} refused with {reject.slug!r}, which is not documented"
        raise UndocumentedError(message) from reject


async def _alone(action: Single, call: Call, claimed: Claim | None) -> Reply:
    work = idempotency.once(claimed, call, action) if claimed else action(call)
    deadline = Deadline(work, call.deadline)
    call.db.sent = deadline.lift
    try:
        return await deadline
    except TimeoutError as error:
        if not deadline.expired:
            raise
        raise Reject("service-timeout") from error
