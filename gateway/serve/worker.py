"""One worker: the objects of the gateway, joined by hand, and their life."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from gateway.database.heartbeat import Heartbeat
from gateway.database.listen import listen
from gateway.database.pool import Pool
from gateway.gate import Gate
from gateway.identity.authenticator import Authenticator
from gateway.identity.counts import Counts
from gateway.identity.limits import Limits
from gateway.identity.passwords import Passwords
from gateway.identity.token_store import CHANNEL, TokenStore
from gateway.notifications.recorder import Recorder
from gateway.outbox.dispatcher import MAX_FIRST_ATTEMPTS, MAX_RETRIES_IN_FLIGHT, Outbox
from gateway.outbox.mandrill import Mandrill
from gateway.outbox.webhook import Webhook
from gateway.pages import health
from gateway.pipeline import Pipeline
from gateway.registry.follow import Registry
from gateway.runtime.log import AccessLog
from gateway.runtime.metrics import Metrics
from gateway.serve.admin import Admin
from gateway.settings import Settings
from gateway.upstreams import idempotency
from gateway.upstreams.python import Actions

FIRST_TABLE_TIMEOUT = 3.0
RESTART_DELAY = 1.0
LOOKUP_CONNECTIONS = 2
OUTBOX_CONNECTIONS = 2
OWN_CONNECTIONS = 3
"""Of the registry's notices, of identity's, and of the watch."""

SNAPSHOT = "registry.snapshot"

_log = logging.getLogger(__name__)


def connections(settings: Settings) -> int:
    """How many connections to the database a worker opens at most."""
    return settings.database_connections + LOOKUP_CONNECTIONS + OUTBOX_CONNECTIONS + OWN_CONNECTIONS


class Worker:
    """Everything that one process serves with; `app` is the ASGI application.

    `place` is its number among several workers, None if it is alone.
    """

    def __init__(
        self, settings: Settings, actions: Actions | None = None, *, place: int | None = None
    ) -> None:
        snapshot = Path(settings.data_dir) / SNAPSHOT
        self._listen_to = settings.listen_database_url
        self.registry = Registry(settings.listen_database_url, snapshot)
        self.pool = Pool(settings.database_url, settings.database_connections)
        # Of its own: a service that holds every connection must not keep callers from signing in.
        self.lookup_pool = Pool(settings.database_url, LOOKUP_CONNECTIONS)
        # And what was committed to be sent must not wait for it either.
        self.outbox_pool = Pool(settings.database_url, OUTBOX_CONNECTIONS)
        pools = self.pool, self.lookup_pool, self.outbox_pool
        self.watch = Heartbeat(settings.database_url, *pools)
        self.authenticator = _authenticator(settings, self.lookup_pool)
        self.access = AccessLog()
        self.metrics = Metrics(place)
        self.health = health.Health(self.registry, self.pool)
        at_once = MAX_FIRST_ATTEMPTS + MAX_RETRIES_IN_FLIGHT
        key, url = settings.mandrill_api_key, settings.mandrill_url
        self.mandrill = Mandrill(key, url, threads=at_once)
        self.webhook = Webhook(settings.webhook_url, settings.webhook_secret)
        transports = {"mail": self.mandrill.send, "webhook": self.webhook.send}
        self.outbox = Outbox(self.outbox_pool, transports)
        # One worker of several is enough to tell.
        tells = settings.webhook_url and not place
        self.recorder = Recorder(self.outbox_pool, self.webhook.send if tells else None)
        self.pipeline = Pipeline(
            self.registry,
            actions or Actions.load(),
            self.pool,
            self.authenticator,
            self.outbox,
            self.recorder,
        )
        self.app = Gate(
            self.pipeline,
            health.make(self.health, lambda _: self.running()),
            self.access,
            self.metrics,
            settings,
        )
        self.admin = Admin(self.app, self.health, self.metrics, self.outbox)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the registry and write behind, for the length of the block.

        A worker starts without a database too: it is then not ready, and says so.
        """
        works = (
            self.registry.follow,
            self.registry.keep_snapshot,
            self._listen_for_identity,
            self.authenticator.token_store.write_behind,
            self.authenticator.limits.counts.write_behind,
            self._sweep,
            self.outbox.run,
            self.recorder.run,
            self.access.write_behind,
            self.admin.write_behind,
        )
        tasks = [asyncio.create_task(_for_good(work)) for work in works]
        watching = asyncio.create_task(_for_good(self.watch.run))
        try:
            await self.registry.start(FIRST_TABLE_TIMEOUT)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self.outbox.finish(), return_exceptions=True)
            # The last: what they still write must not wait for a server that is frozen.
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            pools = self.pool, self.lookup_pool, self.outbox_pool
            await asyncio.gather(*(pool.close() for pool in pools))
            for threads in (self.authenticator.passwords, self.mandrill, self.webhook):
                threads.close()

    async def _sweep(self) -> None:
        await idempotency.sweep(self.lookup_pool)

    async def _listen_for_identity(self) -> None:
        token_store = self.authenticator.token_store
        await listen(self._listen_to, CHANNEL, token_store.invalidate, token_store.invalidate_all)


def _authenticator(settings: Settings, pool: Pool) -> Authenticator:
    most = {
        "account": settings.account_guesses,
        "address": settings.address_guesses,
        "tokens": settings.unknown_callers,
    }
    return Authenticator(TokenStore(pool), Limits(Counts(pool), most), Passwords())


async def _for_good(work: Callable[[], Awaitable[None]]) -> None:
    """Do some work until it is cancelled; a fault, which nobody awaits, is told and outlived."""
    task = asyncio.current_task()
    # A fault of its last act, when it is cancelled already, is no reason to begin anew.
    while task and not task.cancelling():
        try:
            await work()
            break
        except Exception:  # noqa: BLE001 - a worker whose task has died is stale for good
            _log.exception("%s has failed and begins anew", work.__qualname__)
        await asyncio.sleep(RESTART_DELAY)
