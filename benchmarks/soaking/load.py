"""The load of a soak, as a program of its own: an open loop at a fixed mean rate.

It sends at random moments, whether or not answers come, and measures each call from the moment it
was due. At a low rate it also calls a bare asyncio server, whose latencies show what the machine
itself does. After each window it prints one line of JSON with the figures of the
window.
"""

import asyncio
import itertools
import random
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import uvloop
from bench.client import is_complete

from soaking.mix import RATE, Kind, Mix

CONNECTIONS = 64
CALLS_OF_A_CONNECTION = 500
"""After so many calls the client closes a connection and opens another one."""

BARE_RATE = 50
BARE_CONNECTIONS = 4
BARE_REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
BARE = Kind("bare", BARE_RATE, "bare")
ANSWER_TIMEOUT = 20.0
NO_ANSWER, NOT_SENT = "no answer", "not sent"
MAX_WAIT = 2.0
"""Seconds that a call waits for a free connection; a busy machine must not leave a long queue."""


class Window:
    """The answers since the last line: how many of each kind, and latencies by group, in ms."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.latencies: dict[str, list[float]] = defaultdict(list)

    def add(self, kind: Kind, answer: bytes, latency: float) -> None:
        """Count an answer; `latency` is in seconds. An empty answer means a lost connection."""
        self.latencies[kind.group].append(latency * 1000)
        self.answers[f"{kind.name}: {outcome(kind, answer)}"] += kind.group != BARE.group

    def as_line(self) -> dict[str, Any]:
        """The figures to print."""
        return {
            "answers": dict(+self.answers),
            **{group: quantiles(times) for group, times in self.latencies.items()},
        }


def quantiles(times: Sequence[float]) -> dict[str, float]:
    """The number, p50, p99 and maximum of latencies."""
    ordered = sorted(times)
    return {
        "count": len(ordered),
        "p50": round(ordered[len(ordered) // 2], 3),
        "p99": round(ordered[int(len(ordered) * 0.99)], 3),
        "max": round(ordered[-1], 3),
    }


def outcome(kind: Kind, answer: bytes) -> str:
    """The HTTP code, followed by the slug unless it is 200."""
    if not answer:
        return NO_ANSWER
    code, expected = answer[9:12].decode(), kind.expected
    if code == expected[:3] and f'"{expected[4:]}"'.encode() in (answer if expected[4:] else b'""'):
        return expected
    return code if code == "200" else f"{code} {_slug(answer)}"


def _slug(answer: bytes) -> str:
    try:
        body = orjson.loads(answer.partition(b"\r\n\r\n")[2])
        return str(body["error"] if body["status"] == "err" else body["status"])
    except (ValueError, KeyError, TypeError):
        return "without a status"


class Connection(asyncio.Protocol):
    """Sends one request at a time for a client."""

    def __init__(self, client: "Client") -> None:
        self.calls = 0
        self._client = client
        self._received = b""
        self._sent: tuple[Kind, float] | None = None

    def connection_made(self, transport: Any) -> None:  # uvloop's is not an asyncio.Transport
        """Keep the transport to send with."""
        self.transport = transport

    def send(self, kind: Kind, request: bytes, due: float) -> None:
        """Send a request."""
        self.calls += 1
        self._sent = kind, due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Hand a complete answer to the client."""
        self._received += data
        if self._sent and is_complete(self._received):
            answer, self._received = self._received, b""
            sent, self._sent = self._sent, None
            self._client.answered(*sent, answer)
            self._client.give_back(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Tell the client, which counts a request in flight as not answered."""
        if self._sent:
            self._client.answered(*self._sent, b"")
        self._client.replace(self)


class Client:
    """A fixed number of connections to one port, and the requests that wait for one."""

    def __init__(self, port: int, connections: int) -> None:
        self.window = Window()
        self.in_flight = 0
        self._port = port
        self._connections = connections
        self._idle: deque[Connection] = deque()
        self._due: deque[tuple[Kind, bytes, float]] = deque()
        self._opening: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open all connections."""
        for _ in range(self._connections):
            await self._open_one()

    async def _open_one(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                create = loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
                _, connection = await create
            except OSError:
                await asyncio.sleep(0.05)
            else:
                self._make_idle(connection)
                return

    def send(self, kind: Kind, request: bytes, due: float) -> None:
        """Send a request as soon as a connection is free."""
        self.in_flight += 1
        self._due.append((kind, request, due))
        self._send_due()

    def give_up(self) -> None:
        """Count the calls that have waited for a connection longer than `MAX_WAIT` as not sent."""
        while self._due and time.perf_counter() - self._due[0][2] > MAX_WAIT:
            self.in_flight -= 1
            self.window.answers[f"{self._due.popleft()[0].name}: {NOT_SENT}"] += 1

    def _send_due(self) -> None:
        self.give_up()
        if self._due and self._idle:
            self._idle.popleft().send(*self._due.popleft())

    def answered(self, kind: Kind, due: float, answer: bytes) -> None:
        """Count an answer."""
        self.in_flight -= 1
        self.window.add(kind, answer, time.perf_counter() - due)

    def give_back(self, connection: Connection) -> None:
        """Use a connection again, or close it after `CALLS_OF_A_CONNECTION` calls."""
        if connection.calls >= CALLS_OF_A_CONNECTION:
            connection.transport.close()
        else:
            self._make_idle(connection)

    def replace(self, connection: Connection) -> None:
        """Open another connection in the place of a lost one."""
        if connection in self._idle:
            self._idle.remove(connection)
        task = asyncio.create_task(self._open_one())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _make_idle(self, connection: Connection) -> None:
        self._idle.append(connection)
        self._send_due()

    def take_window(self) -> Window:
        """Start another window and return the last one."""
        window, self.window = self.window, Window()
        return window


async def send_steadily(
    client: Client, requests: Iterator[tuple[Kind, bytes]], rate: float, seconds: float
) -> None:
    """Send at random moments with a fixed mean rate."""
    rng, started, offset = random.Random(rate), time.perf_counter(), 0.0
    for kind, request in requests:
        if (delay := started + offset - time.perf_counter()) > 0:
            await asyncio.sleep(delay)
        client.send(kind, request, started + offset)
        offset += rng.expovariate(rate)
        if offset > seconds:
            return


async def print_windows(clients: Sequence[Client], window: float, seconds: float) -> None:
    """Print a line after each window."""
    started = time.perf_counter()
    for number in range(1, round(seconds / window) + 1):
        await asyncio.sleep(max(0.0, started + number * window - time.perf_counter()))
        _print_line(clients, time.perf_counter() - started)


def _print_line(clients: Sequence[Client], at: float) -> None:
    line: dict[str, Any] = {"at": round(at, 1), "in_flight": clients[0].in_flight}
    for client in clients:
        figures = client.take_window().as_line()
        line = {**figures, **line, "answers": line.get("answers", figures["answers"])}
    print(orjson.dumps(line).decode(), flush=True)


async def run(options: Any) -> None:
    """Send everything, and wait for the last answers."""
    mix = Mix(options["callers"], options["client"], random.Random(1))
    api = Client(options["port"], CONNECTIONS)
    bare = Client(options["bare_port"], BARE_CONNECTIONS)
    seconds, window = options["seconds"], options["window"]
    await asyncio.gather(api.open(), bare.open())
    await asyncio.gather(
        send_steadily(api, mix.requests(), RATE, seconds),
        send_steadily(bare, itertools.repeat((BARE, BARE_REQUEST)), BARE_RATE, seconds),
        print_windows((api, bare), window, seconds),
    )
    deadline = time.perf_counter() + ANSWER_TIMEOUT
    while api.in_flight and time.perf_counter() < deadline:  # noqa: ASYNC110 - they come one by one
        await asyncio.sleep(0.01)
    api.give_up()
    api.window.answers[NO_ANSWER] += api.in_flight
    print(orjson.dumps({"last": dict(+api.window.answers)}).decode(), flush=True)


def main() -> None:
    """Run the load that the one argument, a JSON object, describes."""
    uvloop.run(run(orjson.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
