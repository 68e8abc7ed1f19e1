"""The worker's registry: one reference to the newest table, kept new by NOTIFY and by poll."""

import asyncio
import logging

import asyncpg

from gateway.database.pool import LOST, Connection, UnavailableError, connect, guarded
from gateway.registry import store
from gateway.registry.table import Table

POLL_EVERY = 1.0
ANSWER_WITHIN = 2.0
LONGEST_PAUSE = 2.0

_log = logging.getLogger(__name__)


class Registry:
    """Holds `current`, the table that requests read once each; None until one was loaded.

    A revision that cannot be built leaves the last one in place: a worker serves a revision
    whole, or stays on the one before and says so in `trouble`.
    """

    def __init__(self, dsn: str) -> None:
        self.current: Table | None = None
        self.trouble: str | None = "the registry is not loaded yet"
        self._dsn = dsn
        self._hint = asyncio.Event()
        self._loaded = asyncio.Event()

    async def wait_loaded(self, seconds: float) -> bool:
        """Wait until there is a table, at most so long."""
        try:
            await asyncio.wait_for(self._loaded.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def follow(self) -> None:
        """Keep `current` new, over lost connections, until cancelled."""
        pause = 0.1
        while True:
            try:
                connection = await connect(self._dsn)
                pause = 0.1
                await self._follow(connection)
            except Exception as error:  # noqa: BLE001 - a worker that stops following is stale for good
                self._complain(f"the database cannot be used: {error}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def look(self) -> None:
        """Look for a new revision now."""
        self._hint.set()

    async def _follow(self, connection: Connection) -> None:
        """Follow over one connection until it is lost; notices lost before it are made up for."""
        try:
            with guarded(connection):
                connection.add_termination_listener(lambda _: self.look())
                await connection.add_listener(store.CHANNEL, lambda *_: self.look())
                while True:
                    await self._refresh(connection)
        except asyncpg.UndefinedTableError as error:
            raise UnavailableError("it has no registry: run `gateway migrate`") from error
        finally:
            connection.terminate()

    async def _refresh(self, connection: Connection) -> None:
        self._hint.clear()
        async with asyncio.timeout(ANSWER_WITHIN):
            newest = await store.newest(connection)
        await self._load_if_new(connection, newest)
        await self._wait_for_hint()

    async def _wait_for_hint(self) -> None:
        try:
            await asyncio.wait_for(self._hint.wait(), POLL_EVERY)
        except TimeoutError:
            return

    async def _load_if_new(self, connection: Connection, newest: int) -> None:
        if self.current and newest == self.current.revision:
            self.trouble = None
            return
        try:
            self.current = await store.load(connection)
        except LOST:
            raise
        except Exception as error:
            if connection.is_closed():
                raise
            self._complain(f"revision {newest} cannot be built: {error!r}")
            return
        self.trouble = None
        self._loaded.set()
        _log.info("serving revision %d: %d routes", self.current.revision, len(self.current.routes))

    def _complain(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.error("%s", trouble)
        self.trouble = trouble
