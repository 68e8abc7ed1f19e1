"""A request, on one screen: match, decode, resolve, authenticate, validate, dispatch, respond.

Each stage makes the next frozen value from those before it, or ends the request with a Rejection.
"""

import asyncio
from dataclasses import dataclass

from gateway import statuses
from gateway.database.errors import DatabaseUnavailable
from gateway.edge.admission import Admission
from gateway.edge.exchange import Exchange
from gateway.identity.authenticator import Authenticator
from gateway.notifications.recorder import Recorder
from gateway.registry.follow import Registry
from gateway.registry.served import MIN_REVISION, served_table, wait_for_min_revision
from gateway.stages import respond
from gateway.stages.authenticate import authenticate
from gateway.stages.decode import decode
from gateway.stages.dispatch import dispatch
from gateway.stages.match import match
from gateway.stages.resolve import resolve
from gateway.stages.respond import Trace
from gateway.stages.returns import ReturnsCheck
from gateway.stages.validate import validate
from gateway.upstreams.bound import BoundActions
from gateway.upstreams.call import CallFactory
from gateway.values import ClientDisconnectedError, Rejection, Request, Response


@dataclass(slots=True)
class Pipeline:
    """The stages, joined to what they need."""

    registry: Registry
    actions: BoundActions
    identity: Authenticator
    calls: CallFactory
    recorder: Recorder
    admission: Admission
    returns: ReturnsCheck
    has_help: bool = True

    async def _run(self, request: Request, exchange: Exchange, trace: Trace) -> Response:
        if MIN_REVISION in request.headers:
            await wait_for_min_revision(request, self.registry)
        trace.table = table = served_table(self.registry)
        trace.match = found = match(request, table)
        params = decode(request, found, await self.admission.read(request, exchange, found.route))
        action = resolve(found, self.actions)
        trace.caller = caller = await authenticate(request, params, found, self.identity)
        trace.valid = valid = validate(params, found)
        call = self.calls.create(request, exchange, found, caller, valid.params)
        reply = self.returns.check(await dispatch(call, action), found.route, request)
        return respond.success(reply, valid, caller, found)

    async def answer(self, request: Request, exchange: Exchange, trace: Trace) -> Response | None:
        """The documented response, whatever happens; None if the client has left."""
        try:
            return await self._run(request, exchange, trace)
        except Rejection as error:
            rejection = error.without_frames()
        except DatabaseUnavailable as error:
            rejection = self.recorder.record_unavailable(request.id, error)
        except ClientDisconnectedError:
            return None
        except asyncio.CancelledError:
            # The worker stops, and this request has had its time: an answer is better than none.
            trace.is_cancelled = True
            stopping = "The gateway is stopping; the outcome of this call is unknown."
            rejection = Rejection(statuses.SERVICE_UNAVAILABLE, stopping)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it answers any
            rejection = self.recorder.record_crash(error, request.id, trace)
        try:
            return respond.refusal(rejection, request, trace)
        except Exception as error:  # noqa: BLE001 - a service's errors may not be JSON
            rejection = self.recorder.record_crash(error, request.id, trace)
            return respond.refusal(rejection, request, Trace(has_help=self.has_help))
