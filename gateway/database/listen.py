"""A worker's one direct connection to the server: it listens on all topics, and it is pinged.

The pings are the heartbeat of the database: a frozen server closes no connection.
"""

import asyncio
from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

from gateway.database.availability import Availability
from gateway.database.connect import CONNECT_TIMEOUT, Connection, connect, patient_timeout, ping
from gateway.database.errors import DatabaseError, DatabaseUnavailable, translate_errors
from gateway.database.pool import random_age
from gateway.runtime import events

PING_INTERVAL = 0.25
PING_TIMEOUT = 1.0
"""Seconds; their sum, 1.25 s, is the longest that a statement waits for a frozen server."""

PING_LATE = 0.4
"""Seconds until a ping is late: calls go on, but a balancer had better ask another gateway."""

LISTEN_INTERVAL = 5.0
"""Seconds after which a server that refuses to listen is asked again: it may be promoted."""


class _Subscriber(NamedTuple):
    """The callbacks of one subscriber of a channel."""

    on_notice: Callable[[str], None]
    on_connect: Callable[[], None]


class Listener:
    """Passes the notices of PostgreSQL's channels to subscribers. Subscribe first, then run.

    It reports to `availability` whether the server answers. `backend` is the server process of the
    connection, None while no notices arrive: the connection is lost, or a pooler is in between,
    which has sessions of its own. The connection is replaced before it is `max_age` seconds old; 0
    means never.
    """

    def __init__(
        self, dsn: str, availability: Availability | None = None, *, max_age: float = 0
    ) -> None:
        self.backend: int | None = None
        self._dsn = dsn
        self._availability = availability or Availability()
        self._max_age = max_age
        self._topics: dict[str, list[_Subscriber]] = {}
        self._is_refused = False

    def subscribe(
        self, channel: str, on_notice: Callable[[str], None], on_connect: Callable[[], None]
    ) -> None:
        """Call `on_notice` with each notice's payload; a channel may have several subscribers.

        `on_connect` is called whenever listening begins: notices from before it are lost.
        """
        self._topics.setdefault(channel, []).append(_Subscriber(on_notice, on_connect))

    async def run(self) -> None:
        """Listen and ping until cancelled."""
        while True:
            try:
                await self._use(await connect(self._dsn, CONNECT_TIMEOUT, purpose="listener"))
            except DatabaseUnavailable as error:
                self._availability.report_down("database", str(error))
                await asyncio.sleep(PING_INTERVAL)

    async def _use(self, connection: Connection) -> None:
        """Use one connection; return when it is lost, which the server may well survive.

        It also returns when the connection is old enough.
        Raises DatabaseUnavailable if the server never answered, or stops answering.
        """
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        loop = asyncio.get_running_loop()
        answered = False
        try:
            await self._listen(connection)
            age = LISTEN_INTERVAL if self._is_refused else random_age(self._max_age)
            expires_at = loop.time() + age
            while loop.time() < expires_at and await self._answers(connection):
                self._availability.report_up("database")
                answered = True
                await _wait_for_loss(lost)
        finally:
            self.backend = None
            connection.terminate()
        if not answered:
            raise DatabaseUnavailable("the server closes new connections")

    async def _answers(self, connection: Connection) -> bool:
        """Whether the server answers before the connection is lost.

        Raises DatabaseUnavailable if it stays silent.
        """
        loop = asyncio.get_running_loop()
        late = loop.call_later(PING_LATE, self._availability.report_late, PING_LATE)
        try:
            with translate_errors(connection):
                await patient_timeout(ping(connection), PING_TIMEOUT)
        except TimeoutError as error:
            raise DatabaseUnavailable(_silence()) from error
        except DatabaseError as error:
            # An error of the server is an answer too; an error of the driver is not.
            return error.sqlstate is not None and not connection.is_closed()
        finally:
            late.cancel()
        return True

    async def _listen(self, connection: Connection) -> None:
        """Listen on all channels. Raises DatabaseUnavailable."""
        try:
            with translate_errors(connection):
                self.backend = await patient_timeout(self._send_listens(connection), PING_TIMEOUT)
        except TimeoutError as error:
            raise DatabaseUnavailable(_silence()) from error
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            # A server that refuses to listen, such as a standby, still answers.
            self._log_refusal(error)
            return
        self._is_refused = False
        for subscriber in chain.from_iterable(self._topics.values()):
            subscriber.on_connect()

    async def _send_listens(self, connection: Connection) -> int | None:
        """The server process, if the session is ours: a pooler shows its clients other numbers."""
        for channel in self._topics:
            await connection.add_listener(channel, self._receive)
        pid: int = await connection.fetchval("select pg_backend_pid()")
        return pid if pid == connection.get_server_pid() else None

    def _log_refusal(self, error: DatabaseError) -> None:
        if not self._is_refused:
            channels = [*self._topics]
            events.emit(events.DATABASE_LISTEN_REFUSED, channels=channels, reason=str(error))
        self._is_refused = True

    def _receive(self, _: object, __: int, channel: str, payload: object) -> None:
        for subscriber in self._topics[channel]:
            subscriber.on_notice(str(payload))


def _silence() -> str:
    return f"no answer to a ping for {PING_TIMEOUT:g} s"


async def _wait_for_loss(lost: asyncio.Event) -> None:
    """Wait until the next ping is due, or the connection is lost."""
    try:
        async with asyncio.timeout(PING_INTERVAL):
            await lost.wait()
    except TimeoutError:
        return
