"""One worker: creates the objects of the gateway, starts and stops them."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

from gateway.database import partitions
from gateway.database.connect import address_of
from gateway.database.pool import Pool
from gateway.database.refusals import Refusals
from gateway.database.replicas import Replicas
from gateway.edge.admission import Admission
from gateway.gate import Gate
from gateway.identity import counts, old_sessions, resets
from gateway.identity.authenticator import Authenticator
from gateway.identity.counts import Counts
from gateway.identity.credentials import Credentials
from gateway.identity.last_use import LastUse
from gateway.identity.limits import Limits
from gateway.identity.passwords import Passwords
from gateway.identity.resets import ResetLinks
from gateway.identity.token_store import CHANNEL, TokenStore
from gateway.monitoring import history
from gateway.monitoring.recent import RecentFaults
from gateway.monitoring.reporter import Reporter
from gateway.notifications import late_workers, replication
from gateway.notifications.late_workers import LateWorkers
from gateway.notifications.recorder import Recorder
from gateway.notifications.replication import Replication
from gateway.outbox import dispatcher
from gateway.outbox.dispatcher import MAX_FIRST_ATTEMPTS, MAX_RETRIES_IN_FLIGHT, Outbox
from gateway.outbox.mandrill import Mandrill
from gateway.outbox.transport import Transport
from gateway.outbox.webhook import Webhook
from gateway.pages import health
from gateway.pages.documentation.views import Documentation
from gateway.pages.public import create_pages
from gateway.pipeline import Pipeline
from gateway.registry import store
from gateway.registry.follow import Registry
from gateway.registry.snapshot import Origin
from gateway.runtime import events
from gateway.runtime.app_folder import AppFolder
from gateway.runtime.http_client import HttpClient
from gateway.runtime.log import AccessLog
from gateway.runtime.metrics import Metrics
from gateway.runtime.tracing.set_up import Tracing
from gateway.serve.admin import Admin, Watched
from gateway.serve.console import OperatorsConsole
from gateway.serve.database_watch import DatabaseWatch
from gateway.serve.loop_watch import LoopWatch
from gateway.serve.maintenance import Job, Maintenance
from gateway.serve.request_log import RequestLog
from gateway.settings import Settings
from gateway.stages.returns import ReturnsCheck
from gateway.upstreams import idempotency
from gateway.upstreams.bound import BoundActions
from gateway.upstreams.call import CallFactory
from gateway.upstreams.http.services import HttpServices
from gateway.upstreams.python import Actions

FIRST_TABLE_TIMEOUT = 3.0
RESTART_DELAY = 1.0
LOOKUP_CONNECTIONS = 2
OUTBOX_CONNECTIONS = 2
BACKGROUND_CONNECTIONS = 2
OWN_CONNECTIONS = 1
"""The registry's connection."""

DIRECT_CONNECTIONS = 1
"""The listener's connection, which passes no pooler."""

POOL_NAMES = ("calls", "lookup", "outbox", "background")
SNAPSHOT = "registry.snapshot"


def max_connections(settings: Settings) -> int:
    """The most connections that a worker opens to the database."""
    pools = LOOKUP_CONNECTIONS + OUTBOX_CONNECTIONS + BACKGROUND_CONNECTIONS
    return settings.database_connections + pools + OWN_CONNECTIONS + DIRECT_CONNECTIONS


class Worker:
    """All objects of one serving process; `app` is the ASGI application.

    `worker_index` is its number among several workers, None if it is alone.
    """

    def __init__(
        self, settings: Settings, actions: Actions | None = None, *, worker_index: int | None = None
    ) -> None:
        refusals = Refusals()
        pool = partial(
            Pool,
            settings.database_url,
            refusals=refusals,
            max_age=settings.database_connection_age,
        )
        self.pool = pool(size=settings.database_connections)
        # Separate pools: services that use all their connections must not block looking up tokens,
        # nor the sending of committed messages; nor must sweeps that wait for a locked table.
        self.lookup_pool = pool(size=LOOKUP_CONNECTIONS, purpose="lookup")
        self.outbox_pool = pool(size=OUTBOX_CONNECTIONS, purpose="outbox")
        self.background_pool = pool(size=BACKGROUND_CONNECTIONS, purpose="background")
        self._pools = self.pool, self.lookup_pool, self.outbox_pool, self.background_pool
        self.replicas = Replicas(
            settings.replica_database_url,
            self.background_pool,
            partial(
                Pool,
                size=settings.database_connections,
                max_age=settings.database_connection_age,
                purpose="reads",
            ),
        )
        self.database = DatabaseWatch(settings, self._pools)
        self.listener = self.database.listener
        self.registry = Registry(
            settings.database_url,
            Path(settings.data_dir) / SNAPSHOT,
            Origin(address_of(settings.database_url), settings.snapshot_key),
            pool=self.background_pool,
            backend=lambda: self.listener.backend,
            leaves=settings.ready_needs_database,
        )
        self.access = AccessLog()
        self.metrics = Metrics(worker_index)
        self.health = health.Health(
            self.registry,
            self.pool,
            self.database.availability,
            needs_database=settings.ready_needs_database,
        )
        self.mandrill = Mandrill(
            settings.mandrill_api_key,
            settings.mandrill_url,
            threads=MAX_FIRST_ATTEMPTS + MAX_RETRIES_IN_FLIGHT,
        )
        self.client = HttpClient()
        self.http = HttpServices(
            self.client,
            lambda: self.registry.current,
            environment=os.environ,
            max_in_flight=settings.service_calls,
        )
        self.webhook = Webhook(settings.webhook_url, settings.webhook_secret, self.client)
        transports: dict[str, Transport] = {"mail": self.mandrill, "webhook": self.webhook}
        links = ResetLinks(self.outbox_pool)
        self.outbox = Outbox(self.outbox_pool, transports, {resets.ABOUT: links.complete})
        # Of several workers only the first calls the webhook directly.
        calls_webhook = settings.webhook_url and not worker_index
        self.recorder = Recorder(
            self.outbox_pool,
            self.webhook if calls_webhook else None,
            on_forwarded=self.outbox.look_now,
        )
        self.passwords = Passwords()
        self.identity = _authenticator(settings, self.lookup_pool, self.background_pool)
        credentials = Credentials(
            passwords=self.passwords,
            limits=self.identity.limits,
            max_sessions=settings.max_sessions_per_user,
        )
        self.pipeline = Pipeline(
            registry=self.registry,
            actions=BoundActions({}, self.http),
            identity=self.identity,
            calls=CallFactory(self.pool, self.outbox, credentials, self.replicas),
            recorder=self.recorder,
            admission=Admission(
                max_in_flight=settings.max_in_flight,
                max_bodies=settings.max_bodies,
                max_body_bytes=settings.max_body_bytes,
            ),
            returns=ReturnsCheck(settings.check_returns),
            has_help=settings.documentation,
        )
        self.use(actions or Actions.load(AppFolder.find(settings.app)))
        documentation = (
            Documentation(self.registry, self.background_pool) if settings.documentation else None
        )
        pages = create_pages(self.health, documentation, lambda _: self.running())
        self.recent = RecentFaults()
        request_log = RequestLog(self.access, self.metrics, self.recent)
        self.tracing = Tracing(os.environ, reports=not worker_index)
        self.app = Gate(self.pipeline, pages, request_log, settings, self.tracing.sampler)
        self.loop_watch = LoopWatch()
        self.reporter = Reporter(
            self.background_pool,
            self.metrics,
            self.recent,
            worker=self.registry.worker_id,
            settings={"index": worker_index, "max_in_flight": settings.max_in_flight},
            state=lambda: self.admin.state(),  # noqa: PLW0108 - created below
        )
        self.console = OperatorsConsole(
            pool=self.background_pool,
            reporter=self.reporter,
            health=self.health,
            identity=self.identity,
            credentials=credentials,
            actions=lambda: self.pipeline.actions.python,
        )
        self.replication = Replication()
        self.admin = Admin(
            health=self.health,
            metrics=self.metrics,
            watched=Watched(
                admission=self.pipeline.admission,
                tokens=self.identity.store,
                reporter=self.reporter,
                outbox=self.outbox,
                loop_watch=self.loop_watch,
                pools=dict(zip(POOL_NAMES, self._pools, strict=True)),
                replication=self.replication,
                replicas=self.replicas,
                http=self.http,
            ),
            console=self.console.routes(),
        )
        self.maintenance = Maintenance(self.background_pool, _jobs(self.replication))
        self._subscribe()

    def use(self, actions: Actions) -> None:
        """Use these actions for new calls; calls in progress finish with the earlier ones."""
        self.pipeline.actions = BoundActions(actions.bind(self.pool), self.http)

    def _subscribe(self) -> None:
        poll_now = self.registry.poll_now
        self.listener.subscribe(store.CHANNEL, lambda _: poll_now(), poll_now)
        look_now = self.outbox.look_now
        self.listener.subscribe(dispatcher.CHANNEL, lambda _: look_now(), look_now)
        for cache in (self.identity.store.cache, self.console.store.cache):
            self.listener.subscribe(CHANNEL, cache.invalidate, cache.invalidate_all)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the background tasks for the length of the block.

        A worker also starts without a database; it then reports that it is not ready.
        """
        loops = (
            self.registry.follow,
            self.registry.keep_snapshot,
            self.identity.last_use.run,
            self.identity.limits.counts.run,
            self.maintenance.run,
            self.replicas.run,
            self.outbox.run,
            self.recorder.run,
            self.access.run,
            self.admin.run,
            self.loop_watch.run,
            self.recent.run,
            self.reporter.run,
            self.console.watcher.run,
            self.http.run,
        )
        self.tracing.start()
        tasks = [asyncio.create_task(_keep_running(loop)) for loop in loops]
        watches = [asyncio.create_task(_keep_running(loop)) for loop in self.database.loops]
        try:
            await self.registry.start(FIRST_TABLE_TIMEOUT)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self.outbox.finish(), return_exceptions=True)
            # These stop last, so that the tasks' last writes do not wait for a frozen server.
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
            await asyncio.gather(self.replicas.close(), *(pool.close() for pool in self._pools))
            for threads in (self.passwords, self.mandrill):
                threads.close()
            await self.client.close()
            await self.tracing.stop()


def _authenticator(settings: Settings, pool: Pool, background_pool: Pool) -> Authenticator:
    limits = Limits(
        Counts(background_pool),
        account_guesses=settings.account_guesses,
        address_guesses=settings.address_guesses,
        unknown_tokens=settings.unknown_callers,
    )
    return Authenticator(TokenStore(pool), LastUse(background_pool), limits)


def _jobs(standbys: Replication) -> list[Job]:
    """The jobs of maintenance, with their intervals in seconds."""
    return [
        Job(LateWorkers().check, interval=late_workers.CHECK_INTERVAL),
        Job(standbys.check, interval=replication.CHECK_INTERVAL),
        Job(counts.sweep, interval=60.0),
        Job(resets.sweep, interval=600.0),
        Job(old_sessions.sweep, interval=60.0),
        Job(idempotency.sweep, interval=60.0),
        Job(dispatcher.sweep, interval=600.0),
        Job(late_workers.sweep, interval=600.0),
        Job(partitions.add_missing, interval=60.0),
        Job(store.sweep, interval=600.0),
        Job(history.sweep, interval=60.0),
        Job(history.add_sample, interval=history.SAMPLE_INTERVAL),
    ]


async def _keep_running(loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop until it is cancelled; start it again after an error."""
    task = asyncio.current_task()
    # A loop that fails while it is being cancelled is not started again.
    while task and not task.cancelling():
        try:
            await loop()
            break
        except Exception as error:  # noqa: BLE001 - without this loop the worker would be stale
            events.emit(events.WORKER_TASK_CRASHED, trace=error, task=loop.__qualname__)
        await asyncio.sleep(RESTART_DELAY)
