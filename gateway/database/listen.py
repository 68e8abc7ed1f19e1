"""Notices of PostgreSQL, heard over lost connections."""

import asyncio
import logging
from collections.abc import Callable

from gateway.database.pool import (
    CONNECT_WITHIN,
    FAULTS,
    SIGN_OF_LIFE,
    Connection,
    UnavailableError,
    connect,
    guarded,
    limited,
)

EVERY = 1.0
"""Seconds from one sign of life to the next, and that a server has to give one."""

_log = logging.getLogger(__name__)


async def listen(
    dsn: str, channel: str, hear: Callable[[str], None], begin: Callable[[], None]
) -> None:
    """Hear each notice of a channel, until cancelled.

    `begin` is called whenever listening begins: what was said before it is lost.
    """
    well = True
    while True:
        try:
            await _listen(await connect(dsn, CONNECT_WITHIN), channel, hear, begin)
        except (UnavailableError, *FAULTS) as error:
            if well:
                _log.warning("no notices on %s: %s", channel, error)
            well = False
        else:
            well = True
        await asyncio.sleep(EVERY / 2)


async def _listen(
    connection: Connection, channel: str, hear: Callable[[str], None], begin: Callable[[], None]
) -> None:
    """Listen on one connection; return when it is lost after it had worked."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    try:
        with guarded(connection):
            with limited(connection, EVERY):
                await connection.add_listener(channel, lambda *said: hear(str(said[-1])))
            begin()
            while not lost.is_set():
                with limited(connection, EVERY):
                    await connection.execute(SIGN_OF_LIFE)
                await _pause(lost)
    finally:
        connection.terminate()


async def _pause(lost: asyncio.Event) -> None:
    """Until the next sign of life is due, or the connection is lost."""
    try:
        async with asyncio.timeout(EVERY):
            await lost.wait()
    except TimeoutError:
        return
