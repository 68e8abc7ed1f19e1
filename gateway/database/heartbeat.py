"""Asks the server for a sign of life: one that is frozen never says that it is gone."""

import asyncio
import logging

import asyncpg

from gateway.database.pool import (
    CONNECT_WITHIN,
    LOST,
    SIGN_OF_LIFE,
    Connection,
    Pool,
    UnavailableError,
    connect,
    in_steps,
)

EVERY = 0.5
WITHIN = 1.0
"""Seconds. Together they bound how long a statement waits for a server that is frozen: 1.5 s."""

_log = logging.getLogger(__name__)


class Watch:
    """Watches over a server from a connection of its own, for the pools that use this server."""

    def __init__(self, dsn: str, *pools: Pool) -> None:
        self._dsn = dsn
        self._pools = pools
        self._is_well = True

    async def run(self) -> None:
        """Ask over and over, until cancelled; while there is no answer, the pools refuse."""
        while True:
            try:
                await self._over(await connect(self._dsn, CONNECT_WITHIN))
            except UnavailableError as error:
                self._give_up(f"the database does not answer: {error}")
                await asyncio.sleep(EVERY)

    async def _over(self, connection: Connection) -> None:
        """Return when a connection that had answered is lost, which a server may well outlive.

        Raises UnavailableError if it never answered, or does not any more.
        """
        answered = False
        try:
            while await _answers(connection):
                self._find_well()
                answered = True
                await asyncio.sleep(EVERY)
        finally:
            connection.terminate()
        if not answered:
            raise UnavailableError("it closes connections that are new")

    def _give_up(self, why: str) -> None:
        if self._is_well:
            _log.error("%s", why)
        self._is_well = False
        for pool in self._pools:
            pool.give_up(why)

    def _find_well(self) -> None:
        if not self._is_well:
            _log.info("the database answers again")
        self._is_well = True
        for pool in self._pools:
            pool.find_well()


async def _answers(connection: Connection) -> bool:
    """Whether the server gives a sign of life before the connection is lost.

    Raises UnavailableError if it stays silent.
    """
    try:
        await in_steps(connection.execute(SIGN_OF_LIFE), WITHIN)
    except TimeoutError as error:
        raise UnavailableError(f"no sign of life for {WITHIN:g} s") from error
    except (*LOST, asyncpg.InterfaceError):
        return False
    except asyncpg.PostgresError:
        # A refusal is an answer too.
        return True
    return True
