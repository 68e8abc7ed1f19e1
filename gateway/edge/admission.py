"""Admission: how many requests a worker handles at once, and how many bodies it reads meanwhile.

A request is in flight from its complete body to its answer. A body that is still being read has
limits of its own, so that clients which send slowly, or nothing, take no place from others.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from gateway import statuses
from gateway.edge import addresses
from gateway.edge.exchange import Exchange, receive_chunk
from gateway.edge.large_bodies import (
    LARGE_BODY,
    LargeBodyTurns,
    announced_length,
    may_be_large,
)
from gateway.runtime import memory
from gateway.values import Caller, Rejection, Request

TRIM_BYTES = 64 * 1024 * 1024
"""Bytes of bodies after which memory that is free is given back to the system."""

TRIM_DELAY = 2.0
"""Seconds between the end of such bodies and that, in which their memory is freed."""


class BodyLimits(Protocol):
    """The limits of a route."""

    @property
    def max_body(self) -> int:
        """The most bytes of a body."""


class Admission:
    """Counts requests and bodies; when bodies are too many, clients with the most lose some.

    `in_flight` are the requests with a complete body, `bodies` the ones that are being read.
    """

    def __init__(self, *, max_in_flight: int, max_bodies: int, max_body_bytes: int) -> None:
        self.in_flight = 0
        self.max_in_flight = max_in_flight
        self.bodies = 0
        self.body_bytes = 0
        self._max_bodies = max_bodies
        self._max_body_bytes = max_body_bytes
        self._clients: dict[str, _Client] = {}
        self._freed = 0
        self._will_trim = False
        self._turns = LargeBodyTurns()

    @property
    def is_full(self) -> bool:
        """Whether more requests are in flight than may be."""
        return self.in_flight > self.max_in_flight

    async def read(self, request: Request, exchange: Exchange, limits: BodyLimits) -> bytes:
        """The whole body of a request that is counted in flight.

        Raises Rejection (payload-too-large, rate-limit-exceeded, service-unavailable) and
        ClientDisconnectedError.
        """
        body = exchange.take_body()
        if body is None:
            network = addresses.client_network(request.address)
            self._refuse_announced(exchange, network, limits.max_body)
            body = await self._read_outside(exchange, network, limits.max_body)
        elif len(body) > limits.max_body:
            raise Rejection(statuses.PAYLOAD_TOO_LARGE)
        if len(body) > LARGE_BODY:
            await self._turns.wait(addresses.client_network(request.address), len(body))
        return body

    def note_refusal(self, request: Request, caller: Caller | None) -> None:
        """Pause the client of a refused request, if its body is large and its caller unknown."""
        is_known = caller and (caller.session or caller.application)
        if not is_known and may_be_large(request.headers):
            self._turns.pause(addresses.client_network(request.address))

    def _refuse_announced(self, exchange: Exchange, network: str, limit: int) -> None:
        """Refuse a body by its announced length, before it is read.

        A client that expects 100 Continue need not send it.
        Raises Rejection (payload-too-large, rate-limit-exceeded).
        """
        length = announced_length(exchange.headers)
        if length > limit:
            raise Rejection(statuses.PAYLOAD_TOO_LARGE)
        if length > LARGE_BODY:
            self._turns.check_pause(network)

    async def _read_outside(self, exchange: Exchange, network: str, limit: int) -> bytes:
        """Read a body whose request is not in flight meanwhile."""
        self.in_flight -= 1
        try:
            body = await self._read(exchange, network, limit)
        finally:
            self.in_flight += 1
        if self.is_full:
            raise overloaded("requests are in flight")
        return body

    async def _read(self, exchange: Exchange, network: str, limit: int) -> bytes:
        chunks: list[bytes] = []
        more = True
        with self._reading(exchange, network) as reading:
            while more:
                chunk, more = await receive_chunk(exchange)
                self._grow(reading, len(chunk))
                if reading.size > limit:
                    raise Rejection(statuses.PAYLOAD_TOO_LARGE)
                chunks.append(chunk)
        return b"".join(chunks)

    @contextmanager
    def _reading(self, exchange: Exchange, network: str) -> Iterator["_Reading"]:
        """Count a body while it is read; the oldest of the client with the most makes room."""
        client = self._clients.setdefault(network, _Client(network))
        reading = _Reading(asyncio.current_task(), exchange, client)
        reading.client.readings[reading] = None
        self.bodies += 1
        if self.bodies > self._max_bodies:
            busiest = max(self._clients.values(), key=lambda client: len(client.readings))
            self._end(next(iter(busiest.readings)))
        try:
            yield reading
        except asyncio.CancelledError:
            # Ended by `_end`; but a worker that stops has cancelled it too.
            if not (reading.ended and reading.task) or reading.task.uncancel() > 0:
                raise
            raise overloaded("bodies are being read") from None
        finally:
            self._remove(reading)

    def _grow(self, reading: "_Reading", size: int) -> None:
        """Count a part; while there are too many bytes, end the largest body of some client."""
        reading.size += size
        reading.client.size += size
        self.body_bytes += size
        while self.body_bytes > self._max_body_bytes:
            largest = max(self._clients.values(), key=lambda client: client.size)
            self._end(max(largest.readings, key=lambda reading: reading.size))
        if reading.ended:
            raise overloaded("bodies are being read")

    def _end(self, reading: "_Reading") -> None:
        """Refuse a body that is being read, and count it no longer."""
        reading.ended = True
        reading.exchange.close_after_answer()
        self._remove(reading)
        if reading.task and reading.task is not asyncio.current_task():
            reading.task.cancel()

    def _remove(self, reading: "_Reading") -> None:
        client = reading.client
        if reading not in client.readings:
            return
        del client.readings[reading]
        if not client.readings:
            del self._clients[client.network]
        client.size -= reading.size
        self.bodies -= 1
        self.body_bytes -= reading.size
        self._freed += reading.size
        if self._freed > TRIM_BYTES and not self._will_trim:
            self._will_trim = True
            asyncio.get_running_loop().call_later(TRIM_DELAY, self._trim)

    def _trim(self) -> None:
        self._will_trim = False
        self._freed = 0
        # In a thread: it takes some milliseconds for each 100 MB.
        asyncio.get_running_loop().run_in_executor(None, memory.trim)


class _Client:
    """The bodies that are being read from one network, oldest first, and their bytes."""

    def __init__(self, network: str) -> None:
        self.network = network
        self.readings: dict[_Reading, None] = {}
        self.size = 0


class _Reading:
    """One body that is being read by a task."""

    def __init__(
        self, task: asyncio.Task[object] | None, exchange: Exchange, client: _Client
    ) -> None:
        self.task = task
        self.exchange = exchange
        self.client = client
        self.size = 0
        self.ended = False


def overloaded(what: str) -> Rejection:
    """The refusal of a request that is one too many."""
    return Rejection(statuses.SERVICE_UNAVAILABLE, f"Too many {what}; try again shortly.")
