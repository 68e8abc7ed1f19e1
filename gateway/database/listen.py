"""Notices of PostgreSQL, heard over lost connections."""

import asyncio
import logging
from collections.abc import Callable

from gateway.database.pool import (
    CONNECT_TIMEOUT,
    FAULTS,
    PING,
    Connection,
    UnavailableError,
    connect,
    hard_timeout,
    translate_errors,
)

PING_INTERVAL = 1.0
"""Seconds from one sign of life to the next, and that a server has to give one."""

_log = logging.getLogger(__name__)


async def listen(
    dsn: str, channel: str, on_notice: Callable[[str], None], on_begin: Callable[[], None]
) -> None:
    """Hear each notice of a channel, until cancelled.

    `on_begin` is called whenever listening begins: what was said before it is lost.
    """
    well = True
    while True:
        try:
            await _listen(await connect(dsn, CONNECT_TIMEOUT), channel, on_notice, on_begin)
        except (UnavailableError, *FAULTS) as error:
            if well:
                _log.warning("no notices on %s: %s", channel, error)
            well = False
        else:
            well = True
        await asyncio.sleep(PING_INTERVAL / 2)


async def _listen(
    connection: Connection,
    channel: str,
    on_notice: Callable[[str], None],
    on_begin: Callable[[], None],
) -> None:
    """Listen on one connection; return when it is lost after it had worked."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    try:
        with translate_errors(connection):
            with hard_timeout(connection, PING_INTERVAL):
                await connection.add_listener(channel, lambda *said: on_notice(str(said[-1])))
            on_begin()
            while not lost.is_set():
                with hard_timeout(connection, PING_INTERVAL):
                    await connection.execute(PING)
                await _pause(lost)
    finally:
        connection.terminate()


async def _pause(lost: asyncio.Event) -> None:
    """Until the next sign of life is due, or the connection is lost."""
    try:
        async with asyncio.timeout(PING_INTERVAL):
            await lost.wait()
    except TimeoutError:
        return
