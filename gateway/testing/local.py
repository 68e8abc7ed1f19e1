"""A gateway in the process of the tests: one worker, with its mail, in the loop of a thread."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.dev.mandrill import API, StandIn
from gateway.manifest.check import Desired
from gateway.registry.table import Table
from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.settings import Settings
from gateway.testing.routes import CrashReader
from gateway.upstreams.python import Actions

START_TIMEOUT = 60.0
"""Seconds that a worker may take to be ready, on a slow machine."""

_POLL_INTERVAL = 0.005


@dataclass(frozen=True, slots=True)
class Served:
    """A running worker, its address, and the stand-in that gets its mail."""

    worker: Worker
    database: str
    url: str
    stand_in: StandIn
    reader: CrashReader

    def table(self) -> Table:
        """The routes that the worker serves."""
        current = self.worker.registry.current
        return current or Table(0)

    async def wait_for(self, _: list[Desired], revision: int) -> None:
        """Wait until the worker serves a revision."""
        await self.worker.registry.wait_for(revision)


@contextlib.asynccontextmanager
async def serving(database_url: str, actions: Actions) -> AsyncIterator[Served]:
    """Serve a database on a free port for the length of the block; checks every answer."""
    reader, stand_in = CrashReader(), StandIn()
    listener, mail = (server.listen("127.0.0.1", 0) for _ in range(2))
    with (
        contextlib.closing(listener),
        contextlib.closing(mail),
        tempfile.TemporaryDirectory() as folder,
        reader.reading(),
    ):
        worker = Worker(_settings(database_url, folder, server.url(mail) + API), actions)
        async with (
            server.beside(stand_in.app, mail),
            worker.running(),
            server.beside(worker.app, listener),
        ):
            await _wait_until_ready(worker)
            yield Served(worker, database_url, server.url(listener), stand_in, reader)


def _settings(database_url: str, folder: str, mandrill_url: str) -> Settings:
    return Settings.load(
        {
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_DATA_DIR": folder,
            "GATEWAY_MANDRILL_URL": mandrill_url,
            "GATEWAY_MANDRILL_API_KEY": "stand-in",
            "GATEWAY_CHECK_RETURNS": "all",
        }
    )


async def _wait_until_ready(worker: Worker) -> None:
    async with asyncio.timeout(START_TIMEOUT):
        # What is confirmed in the moment that listening begins is not remembered.
        while worker.health.problems or worker.identity.store.cache.listening_since < 0:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_INTERVAL)
