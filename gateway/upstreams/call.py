"""The argument of an action: the request's values, the database, the mailer and identity."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.replica_reads import ReadSource, ReplicaDatabase
from gateway.database.replicas import Replicas
from gateway.edge.exchange import Exchange
from gateway.identity.credentials import Credentials
from gateway.outbox.dispatcher import Outbox
from gateway.outbox.mailer import Mailer
from gateway.registry.records import Route
from gateway.registry.table import Match
from gateway.upstreams import claims
from gateway.upstreams.claims import Claim
from gateway.values import Caller, Request, TraceContext

OnDisconnect: TypeAlias = Callable[[Callable[[], None] | None], None]


def never(callback: Callable[[], None] | None) -> None:
    """The `on_disconnect` of a call without a client."""


class Call(NamedTuple):
    """One call of an action.

    `settings` are the service's own, from the manifest. `deadline` is when the answer must be
    ready, in seconds of the event loop's clock. `address` is the client's IP address. `db` is the
    database and `mail` the outbox, both bounded by the deadline; `identity` is for services that
    log users in. `claim` is the claim of an idempotency key, if the request has one. `trace` is the
    request's place in a trace, if it has one. `on_disconnect` takes what to call if the client
    disconnects, and None once the call is over.
    """

    request_id: str
    route: Route
    caller: Caller
    params: dict[str, Any]
    settings: Mapping[str, Any]
    db: Database
    mail: Mailer
    identity: Credentials
    deadline: float
    address: str
    claim: Claim | None
    trace: TraceContext | None = None
    on_disconnect: OnDisconnect = never

    @property
    def traceparent(self) -> str | None:
        """The header `traceparent` for what the service calls; None if the call has no trace."""
        return self.trace.traceparent if self.trace else None

    @property
    def tracestate(self) -> str | None:
        """The header `tracestate` that goes with it, as it came; None if there is none."""
        return (self.trace.state or None) if self.trace else None


class CallFactory:
    """Creates calls from requests and the objects that all calls of a worker share."""

    def __init__(
        self, pool: Pool, outbox: Outbox, credentials: Credentials, replicas: Replicas
    ) -> None:
        self._pool = pool
        self._replicas = replicas
        self._outbox = outbox
        self._credentials = credentials

    def create(
        self,
        request: Request,
        exchange: Exchange,
        match: Match,
        caller: Caller,
        params: dict[str, Any],
    ) -> Call:
        """Create the call for the action of a deployed route.

        Raises Rejection: missing-param and invalid-param, both about the header Idempotency-Key.
        """
        route = match.route
        deadline = request.received_at + route.timeout
        scope = route.name, caller.application_slug, caller.role
        database: Callable[..., Database] = Database
        if route.stale is not None:
            database = partial(ReplicaDatabase, ReadSource(self._replicas, route.stale))
        return Call(
            request_id=request.id,
            route=route,
            caller=caller,
            params=params,
            settings=match.table.services[route.service].settings,
            db=database(self._pool, deadline, scope, route.name, exchange.is_disconnected),
            mail=Mailer(self._outbox, route.name, request.id, deadline),
            identity=self._credentials,
            deadline=deadline,
            address=request.address,
            claim=claims.claim(request, route, caller, params),
            trace=request.trace,
            on_disconnect=exchange.on_disconnect,
        )
