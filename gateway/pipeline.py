"""A request, on one screen: match, decode, resolve, authenticate, validate, dispatch, respond.

Each stage takes frozen values and makes the next, or ends the request by raising Rejection.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway import statuses
from gateway.database.handle import Database
from gateway.database.pool import Pool, UnavailableError
from gateway.edge.exchange import Exchange, read_body
from gateway.identity import views
from gateway.identity.authenticator import Authenticator
from gateway.notifications.recorder import Recorder
from gateway.outbox.dispatcher import Outbox
from gateway.outbox.mailer import Mailer
from gateway.registry.follow import Registry
from gateway.registry.table import Match, Table
from gateway.stages import respond
from gateway.stages.authenticate import authenticate
from gateway.stages.decode.decoder import decode
from gateway.stages.dispatch import dispatch
from gateway.stages.match import match
from gateway.stages.resolve import resolve
from gateway.stages.validate.validator import validate
from gateway.upstreams.batch import Batches
from gateway.upstreams.call import Call
from gateway.upstreams.python import Actions
from gateway.values import Caller, ClientLeftError, Rejection, Request, Response, Valid

MIN_REVISION = b"x-min-registry-revision"


@dataclass(slots=True)
class Progress:
    """How far a request came: what the access line and the envelope of a refusal need to know."""

    table: Table | None = None
    match: Match | None = None
    caller: Caller | None = None
    valid: Valid | None = None


class Pipeline:
    """The stages, joined to what they need."""

    def __init__(
        self,
        registry: Registry,
        actions: Actions,
        pool: Pool,
        authenticator: Authenticator,
        outbox: Outbox,
        recorder: Recorder,
    ) -> None:
        self.registry, self.actions, self.pool = registry, actions, pool
        self.authenticator, self.outbox, self.recorder = authenticator, outbox, recorder
        self.batches = Batches(pool)

    async def _run(self, request: Request, exchange: Exchange, so_far: Progress) -> Response:
        if MIN_REVISION in request.headers:
            await self._wait_for_revision(request.headers[MIN_REVISION])
        so_far.table = table = self._table()
        so_far.match = found = match(request, table)
        params = decode(request, found, await read_body(exchange, found.route.max_body))
        action = resolve(found, table, self.actions)
        so_far.caller = caller = await authenticate(request, params, found, self.authenticator)
        so_far.valid = valid = validate(params, found)
        call = self._call(request, exchange, found, caller, valid)
        reply = await dispatch(request, call, action, self.batches)
        return respond.success(reply, valid, caller, found.route.envelope)

    async def answer(self, request: Request, exchange: Exchange, so_far: Progress) -> Response:
        """The documented answer to a request, whatever happens."""
        try:
            return await self._run(request, exchange, so_far)
        except Rejection as rejection:
            return _refuse(rejection, request, so_far)
        except UnavailableError as error:
            self.pool.tell(request.id, error)
            return _refuse(Rejection(statuses.SERVICE_UNAVAILABLE), request, so_far)
        except ClientLeftError:
            raise
        except Exception as error:  # noqa: BLE001 - the one place that answers any fault
            self.recorder.crashed(error, request.id, so_far.match, so_far.caller)
            slug = statuses.APPLICATION_CRASH if so_far.match else statuses.IDENTIFY_REQUEST_ERROR
            return _refuse(Rejection(slug), request, so_far)

    def _table(self) -> Table:
        """Read once, so that no request sees half an old and half a new table."""
        table = self.registry.current
        if table is None:
            raise Rejection(statuses.IDENTIFY_REQUEST_ERROR)
        return table

    async def _wait_for_revision(self, text: bytes) -> None:
        """Let a caller that has just applied a revision meet no older one."""
        is_bigint = text.isdigit() and len(text) < 19  # noqa: PLR2004
        waited = await self.registry.wait_for(int(text)) if is_bigint else "unknown"
        if waited == "unknown":
            unknown = Rejection.error(MIN_REVISION.decode(), "is no revision there is")
            raise Rejection(statuses.INVALID_PARAM, errors=[unknown])
        if waited == "late":
            raise Rejection(
                statuses.SERVICE_UNAVAILABLE, "The revision that was asked for is not here yet."
            )

    def _call(
        self, request: Request, exchange: Exchange, found: Match, caller: Caller, valid: Valid
    ) -> Call:
        route, authenticator = found.route, self.authenticator
        deadline = asyncio.get_running_loop().time() + route.timeout
        scope = route.name, caller.application_slug, caller.role
        work = Database(self.pool, deadline, scope, route.name, exchange.has_left)
        mail = Mailer(self.outbox, route.name, request.id, deadline)
        given = request.id, route, caller, valid.params, work, deadline, request.address
        return Call(*given, authenticator.passwords, authenticator.limits, mail)


def _refuse(rejection: Rejection, request: Request, so_far: Progress) -> Response:
    route = so_far.match.route if so_far.match else None
    known = route.statuses if route else statuses.COMMON
    status, extra = known[rejection.slug], _extra(rejection, so_far)
    envelope = route.envelope if route else "plano"
    return respond.refusal(rejection, status, request.id, envelope=envelope, extra=extra)


def _extra(rejection: Rejection, so_far: Progress) -> Mapping[str, Any]:
    if rejection.extra or not (so_far.caller and so_far.valid):
        return rejection.extra
    return views.shown(so_far.caller, so_far.valid.session_view, so_far.valid.application_view)
