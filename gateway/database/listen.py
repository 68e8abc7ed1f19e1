"""One LISTEN connection for all topics of a worker, opened again whenever it is lost."""

import asyncio
from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

from gateway.database.connect import CONNECT_TIMEOUT, PING, Connection, connect, hard_timeout
from gateway.database.errors import DatabaseError, translate_errors
from gateway.runtime import events

PING_INTERVAL = 1.0
"""Seconds between two pings, and in which the server must answer one."""


class _Subscriber(NamedTuple):
    """The callbacks of one subscriber of a channel."""

    on_notice: Callable[[str], None]
    on_connect: Callable[[], None]


class Listener:
    """Passes the notices of PostgreSQL's channels to subscribers. Subscribe first, then run."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._topics: dict[str, list[_Subscriber]] = {}

    def subscribe(
        self, channel: str, on_notice: Callable[[str], None], on_connect: Callable[[], None]
    ) -> None:
        """Call `on_notice` with each notice's payload; a channel may have several subscribers.

        `on_connect` is called whenever listening begins: notices from before it are lost.
        """
        self._topics.setdefault(channel, []).append(_Subscriber(on_notice, on_connect))

    async def run(self) -> None:
        """Listen until cancelled."""
        connected = True
        while True:
            try:
                await self._listen(await connect(self._dsn, CONNECT_TIMEOUT, purpose="listener"))
            except DatabaseError as error:
                if connected:
                    channels = [*self._topics]
                    events.emit(
                        events.DATABASE_LISTENER_DISCONNECTED, channels=channels, reason=str(error)
                    )
                connected = False
            else:
                connected = True
            await asyncio.sleep(PING_INTERVAL / 2)

    async def _listen(self, connection: Connection) -> None:
        """Listen on one connection; return when it is lost. Raises DatabaseError."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            with translate_errors(connection):
                with hard_timeout(connection, PING_INTERVAL):
                    for channel in self._topics:
                        await connection.add_listener(channel, self._receive)
                for subscriber in chain.from_iterable(self._topics.values()):
                    subscriber.on_connect()
                while not lost.is_set():
                    with hard_timeout(connection, PING_INTERVAL):
                        await connection.execute(PING)
                    await _wait_for_loss(lost)
        finally:
            connection.terminate()

    def _receive(self, _: object, __: int, channel: str, payload: object) -> None:
        for subscriber in self._topics[channel]:
            subscriber.on_notice(str(payload))


async def _wait_for_loss(lost: asyncio.Event) -> None:
    """Wait until the next ping is due, or the connection is lost."""
    try:
        async with asyncio.timeout(PING_INTERVAL):
            await lost.wait()
    except TimeoutError:
        return
