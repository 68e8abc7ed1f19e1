"""Asks the server for a sign of life: one that is frozen never says that it is gone."""

import asyncio
import logging

import asyncpg

from gateway.database.pool import (
    CONNECT_TIMEOUT,
    LOST,
    PING,
    Connection,
    Pool,
    UnavailableError,
    connect,
    patient_timeout,
)

PING_INTERVAL = 0.5
PING_TIMEOUT = 1.0
"""Seconds. Together they bound how long a statement waits for a server that is frozen: 1.5 s."""

_log = logging.getLogger(__name__)


class Heartbeat:
    """Watches over a server from a connection of its own, for the pools that use this server."""

    def __init__(self, dsn: str, *pools: Pool) -> None:
        self._dsn = dsn
        self._pools = pools
        self._is_well = True

    async def run(self) -> None:
        """Ask over and over, until cancelled; while there is no answer, the pools refuse."""
        while True:
            try:
                await self._over(await connect(self._dsn, CONNECT_TIMEOUT))
            except UnavailableError as error:
                self._mark_down(f"the database does not answer: {error}")
                await asyncio.sleep(PING_INTERVAL)

    async def _over(self, connection: Connection) -> None:
        """Return when a connection that had answered is lost, which a server may well outlive.

        Raises UnavailableError if it never answered, or does not any more.
        """
        answered = False
        try:
            while await _answers(connection):
                self._mark_up()
                answered = True
                await asyncio.sleep(PING_INTERVAL)
        finally:
            connection.terminate()
        if not answered:
            raise UnavailableError("it closes connections that are new")

    def _mark_down(self, why: str) -> None:
        if self._is_well:
            _log.error("%s", why)
        self._is_well = False
        for pool in self._pools:
            pool.give_up(why)

    def _mark_up(self) -> None:
        if not self._is_well:
            _log.info("the database answers again")
        self._is_well = True
        for pool in self._pools:
            pool.mark_up()


async def _answers(connection: Connection) -> bool:
    """Whether the server gives a sign of life before the connection is lost.

    Raises UnavailableError if it stays silent.
    """
    try:
        await patient_timeout(connection.execute(PING), PING_TIMEOUT)
    except TimeoutError as error:
        raise UnavailableError(f"no sign of life for {PING_TIMEOUT:g} s") from error
    except (*LOST, asyncpg.InterfaceError):
        return False
    except asyncpg.PostgresError:
        # A refusal is an answer too.
        return True
    return True
