"""One worker: the objects of the gateway, joined by hand, and their life."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway import site
from gateway.actions import Actions
from gateway.app import Gate
from gateway.database.pool import Pool
from gateway.identity.lookup import Lookup
from gateway.log import AccessLog
from gateway.pipeline import Pipeline
from gateway.registry.follow import Registry
from gateway.settings import Settings

FIRST_TABLE_WITHIN = 3.0
LOOKUP_CONNECTIONS = 2


class Worker:
    """Everything that one process serves with; `app` is the ASGI application."""

    def __init__(self, settings: Settings, actions: Actions | None = None) -> None:
        self.registry = Registry(settings.listen_database_url)
        self.pool = Pool(settings.database_url, settings.database_connections)
        # Of its own: a service that holds every connection must not keep callers from signing in.
        self.lookup_pool = Pool(settings.database_url, LOOKUP_CONNECTIONS)
        self.lookup = Lookup(self.lookup_pool)
        self.access = AccessLog()
        self.health = site.Health(self.registry)
        self.pipeline = Pipeline(self.registry, actions or Actions.load(), self.pool, self.lookup)
        self.app = Gate(
            self.pipeline,
            site.make(self.health, lambda _: self.running()),
            self.access,
            cors_origins=settings.cors_origins,
            max_in_flight=settings.max_in_flight,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the registry and write behind, for the length of the block.

        A worker starts without a database too: it is then not ready, and says so.
        """
        tasks = [
            asyncio.create_task(self.registry.follow(), name="follow the registry"),
            asyncio.create_task(self.lookup.write_behind(), name="write last uses"),
            asyncio.create_task(self.access.write_behind(), name="write access lines"),
        ]
        await self.registry.wait_loaded(FIRST_TABLE_WITHIN)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.pool.close()
            await self.lookup_pool.close()
