"""Pings the server: a frozen one never says that it is gone."""

import asyncio

from gateway.database.connect import CONNECT_TIMEOUT, PING, Connection, connect, patient_timeout
from gateway.database.errors import DatabaseError, DatabaseUnavailable, translate_errors
from gateway.database.pool import Pool
from gateway.runtime import events

PING_INTERVAL = 0.5
PING_TIMEOUT = 1.0
"""Seconds. Together they bound how long a statement waits for a frozen server: 1.5 s."""


class Heartbeat:
    """Pings a server over a connection of its own, for the pools that use this server."""

    def __init__(self, dsn: str, *pools: Pool) -> None:
        self._dsn = dsn
        self._pools = pools
        self._is_up = True

    async def run(self) -> None:
        """Ping until cancelled; while the server does not answer, the pools refuse."""
        while True:
            try:
                await self._ping(await connect(self._dsn, CONNECT_TIMEOUT))
            except DatabaseUnavailable as error:
                self._mark_down(f"the database does not answer: {error}")
                await asyncio.sleep(PING_INTERVAL)

    async def _ping(self, connection: Connection) -> None:
        """Return when a connection that had answered is lost: the server may well outlive it.

        Raises DatabaseUnavailable if the server never answered, or stops answering.
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
            raise DatabaseUnavailable("it closes new connections")

    def _mark_down(self, why: str) -> None:
        if self._is_up:
            events.emit(events.DATABASE_DOWN, reason=why)
        self._is_up = False
        for pool in self._pools:
            pool.mark_down(why)

    def _mark_up(self) -> None:
        if not self._is_up:
            events.emit(events.DATABASE_UP)
        self._is_up = True
        for pool in self._pools:
            pool.mark_up()


async def _answers(connection: Connection) -> bool:
    """Whether the server answers before the connection is lost.

    Raises DatabaseUnavailable if it stays silent.
    """
    try:
        with translate_errors(connection):
            await patient_timeout(connection.execute(PING), PING_TIMEOUT)
    except TimeoutError as error:
        raise DatabaseUnavailable(f"no answer to a ping for {PING_TIMEOUT:g} s") from error
    except DatabaseUnavailable:
        return False
    except DatabaseError as error:
        # A refusal by the server is an answer too; an error of the driver is not.
        return error.sqlstate is not None
    return True
