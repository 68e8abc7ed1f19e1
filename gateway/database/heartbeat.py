"""Pings the server: a frozen server does not close its connections."""

import asyncio
import math

from gateway.database.connect import CONNECT_TIMEOUT, PING, Connection, connect, patient_timeout
from gateway.database.errors import DatabaseError, DatabaseUnavailable, translate_errors
from gateway.database.pool import Pool
from gateway.runtime import events

PING_INTERVAL = 0.5
PING_TIMEOUT = 1.0
"""Seconds; their sum, 1.5 s, is the longest that a statement waits for a frozen server."""


class Heartbeat:
    """Pings a server over its own connection, for the pools that use this server.

    The connection is replaced after `max_age` seconds; 0 means never.
    """

    def __init__(self, dsn: str, *pools: Pool, max_age: float = 0) -> None:
        self._dsn = dsn
        self._max_age = max_age or math.inf
        self._pools = pools
        self._is_up = True

    async def run(self) -> None:
        """Ping until cancelled; while the server does not answer, the pools refuse requests."""
        while True:
            try:
                await self._ping(await connect(self._dsn, CONNECT_TIMEOUT, purpose="heartbeat"))
            except DatabaseUnavailable as error:
                self._mark_down(f"the database does not answer: {error}")
                await asyncio.sleep(PING_INTERVAL)

    async def _ping(self, connection: Connection) -> None:
        """Ping over one connection; return when it is lost, which the server may well survive.

        It also returns when the connection is old enough.
        Raises DatabaseUnavailable if the server never answered, or stops answering.
        """
        answered = False
        loop = asyncio.get_running_loop()
        expires_at = loop.time() + self._max_age
        try:
            while loop.time() < expires_at and await _answers(connection):
                self._mark_up()
                answered = True
                await asyncio.sleep(PING_INTERVAL)
        finally:
            connection.terminate()
        if not answered:
            raise DatabaseUnavailable("the server closes new connections")

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
    except DatabaseError as error:
        # An error of the server is an answer too; an error of the driver is not.
        return error.sqlstate is not None and not connection.is_closed()
    return True
