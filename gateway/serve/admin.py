"""The admin port: the metrics of all workers, and the state of the worker that answers."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.database.pool import Pool
from gateway.database.replicas import Replicas
from gateway.edge.admission import Admission
from gateway.identity.token_store import TokenStore
from gateway.monitoring.reporter import Reporter
from gateway.notifications.replication import Replication
from gateway.outbox.dispatcher import Outbox
from gateway.pages import assets
from gateway.pages.health import Health
from gateway.runtime import events, log_thread
from gateway.runtime.metrics import Metrics, WorkerState
from gateway.serve.loop_watch import LoopWatch
from gateway.upstreams.http.services import HttpServices

FLUSH_INTERVAL = 1.0
"""Seconds; the metrics of the other workers may be this old."""


class Watched(NamedTuple):
    """The objects of a worker from which its state is read; the pools by their names."""

    admission: Admission
    tokens: TokenStore
    reporter: Reporter
    outbox: Outbox
    loop_watch: LoopWatch
    pools: Mapping[str, Pool]
    replication: Replication
    replicas: Replicas
    http: HttpServices


class Admin:
    """The pages of the admin port; `app` is the ASGI application."""

    def __init__(
        self,
        *,
        health: Health,
        metrics: Metrics,
        watched: Watched,
        console: Sequence[Route],
    ) -> None:
        self._watched = watched
        self._lag = self._lag_since = 0.0
        self._health = health
        self._metrics = metrics
        self.app = Starlette(
            routes=[
                Route("/-/live", self._live),
                Route("/-/ready", self._ready),
                Route("/-/metrics", self._show_metrics),
                Route(f"{assets.PATH}/{{digest}}/{{name}}", assets.serve),
                *console,
            ]
        )

    async def run(self) -> None:
        """Write this worker's metrics for the other workers until cancelled, then once more."""
        unsubscribe = events.subscribe(self._metrics.read)
        try:
            while True:
                self._flush()
                await asyncio.sleep(FLUSH_INTERVAL)
        finally:
            unsubscribe()
            self._flush()

    def _flush(self) -> None:
        self._metrics.flush(self.state())

    def state(self) -> WorkerState:
        """What this worker is doing now."""
        watched, registry, pool = self._watched, self._health.registry, self._health.pool
        return WorkerState(
            in_flight=watched.admission.in_flight,
            bodies=watched.admission.bodies,
            revision=registry.current.revision if registry.current else 0,
            degraded=bool(registry.problems),
            database_unavailable=bool(pool.problem or pool.commits.problem),
            reads=watched.replicas.reads,
            asynchronous_standbys=watched.replication.asynchronous_standbys,
            outbox=watched.outbox.outstanding,
            oldest=watched.outbox.oldest(),
            log_dropped=log_thread.dropped_lines(),
            loop_lag=self._recent_lag(),
            out_of_descriptors=watched.loop_watch.out_of_descriptors,
            pools={name: pool.usage() for name, pool in watched.pools.items()},
            tokens=watched.tokens.sources,
            snapshot_age=registry.snapshot_age,
            fleet=watched.reporter.fleet,
            revision_since=registry.served_since,
            services=watched.http.usage(),
        )

    def _recent_lag(self) -> float:
        """The longest delay of about a second: a request for the metrics must not shorten that."""
        now = time.monotonic()
        lag = self._watched.loop_watch.take_lag()
        if now >= self._lag_since + FLUSH_INTERVAL:
            self._lag, self._lag_since = lag, now
        self._lag = max(self._lag, lag)
        return self._lag

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, request: Request) -> Response:
        return JSONResponse(self._report(), self._health.code(request))

    def _report(self) -> dict[str, Any]:
        registry = self._health.registry
        uid = registry.current.revision_uid if registry.current else None
        return {
            **self._health.report(),
            "trouble": self._health.problems,
            "revision_uid": uid and str(uid),
            "worker": registry.name,
            "routes": len(registry.current.routes) if registry.current else 0,
            "in_flight": self._watched.admission.in_flight,
            "bodies": self._watched.admission.bodies,
        }

    async def _show_metrics(self, request: Request) -> Response:
        self._flush()
        # In a thread: the text of a thousand sets of labels takes long enough to delay requests.
        accept = request.headers.get("accept", "")
        text, content_type = await asyncio.to_thread(self._metrics.text, accept)
        return Response(text, headers={"content-type": content_type})
