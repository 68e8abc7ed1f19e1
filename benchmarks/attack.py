"""Attack a gateway in many ways; print what each attack costs it and a well-behaved client.

For each attack it prints the longest stall of the event loop in CPU time, memory, connections, and
the client's p99, measured three times on the same gateway: without an attack, while the attack hits
a bare server beside the gateway, and while it hits the gateway. The second p99 shows what an attack
costs because it runs on the same machine.
The gateway is the harness's: one worker without a database. Gateway, attacker, client and bare
server are processes of their own; the attacker has another address than the client, and a lower
priority, since a real one has a machine of its own.
"""

import asyncio
import contextlib
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import attack_corpus
import harness
import orjson
import uvicorn
import uvloop

from gateway.edge.connection import EdgeState
from gateway.edge.protocol import Edge
from gateway.runtime import memory
from gateway.serve import server

SECONDS = 2.0
"""The length of each of the three measurements."""

ATTACKER = ("127.0.0.2", 0)
"""The address that attacks come from."""

NICENESS = 5
"""Of the attacker, which must still attack if other programs use the machine too."""


HALF_SENT = 1001
PIPELINES = 60
SMALL = b"GET /n HTTP/1.1\r\nHost: x\r\n\r\n"
PIPELINED = SMALL * 10_000
PAUSE = 0.005
"""Seconds between two calls of the well-behaved client."""

HEAD = b"POST " + harness.PATH.encode() + b" HTTP/1.1\r\nHost: x\r\n"
Attack = Callable[[int], Coroutine[Any, Any, None]]


class Stalls:
    """The longest time that something held the event loop, since it was last asked for.

    In time of the processor, so that other programs of the machine do not count.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.0005)
            self.longest = max(self.longest, time.thread_time() - before)

    def take(self) -> float:
        longest, self.longest = self.longest, 0.0
        return longest


async def serve() -> None:
    """Serve on a free port, and answer each line of standard input with the figures since then."""
    listener = server.listen("127.0.0.1", 0)
    app = harness.worker().app
    # A worker does the same.
    memory.collect_rarely()
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app, http=Edge, ws="none", lifespan="off", log_config=None, proxy_headers=False
    )
    gateway, stalls = uvicorn.Server(config), Stalls()
    gateway.server_state = EdgeState()
    tasks = [
        asyncio.create_task(gateway.serve(sockets=[listener])),
        asyncio.create_task(stalls.watch()),
    ]
    print(listener.getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        state = gateway.server_state
        counts = len(state.connections), state.total_requests
        print(orjson.dumps([stalls.take(), memory.resident(), *counts]).decode(), flush=True)
    for task in tasks:
        task.cancel()


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of the attacker."""
    return await asyncio.open_connection("127.0.0.1", port, local_addr=ATTACKER)


class Bare(asyncio.Protocol):
    """Refuses every request once all of it has arrived; it reads only the announced length."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.received, self.expected = transport, 0, 0

    def data_received(self, data: bytes) -> None:
        if not self.received:
            length = data.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
            self.expected = len(data.partition(b"\r\n\r\n")[0]) + int(length or 0)
        self.received += len(data)
        if self.received >= self.expected:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()


async def serve_bare() -> None:
    """Run the bare server on a free port until standard input ends."""
    listener = server.listen("127.0.0.1", 0)
    bare = await asyncio.get_running_loop().create_server(Bare, sock=listener)
    print(listener.getsockname()[1], flush=True)
    async with bare:
        await asyncio.to_thread(sys.stdin.read)


async def repeat(port: int, request: bytes) -> None:
    """One connection that sends a request again as soon as it is answered."""
    while True:
        reader, writer = await connect(port)
        with contextlib.suppress(ConnectionError):
            writer.write(request)
            await reader.read()
        writer.close()


async def half_sent(port: int) -> None:
    """Heads without their bodies."""
    await hold(port, HEAD + b"Content-Length: 100\r\n\r\n", HALF_SENT)


async def pipelines(port: int) -> None:
    """Connections that send many small requests and read no answer."""
    await hold(port, PIPELINED, PIPELINES)


async def chunks(port: int) -> None:
    """Connections that send bodies in chunks of one byte."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    await hold(port, head + b"1\r\na\r\n" * 40_000, PIPELINES)


async def at_once(port: int) -> None:
    """Many connections that are opened at the same moment, each for one request."""
    request = SMALL.replace(b"x\r\n", b"x\r\nConnection: close\r\n")
    while True:
        opened = [asyncio.create_task(once(port, request)) for _ in range(HALF_SENT)]
        await asyncio.gather(*opened, return_exceptions=True)


async def once(port: int, request: bytes) -> None:
    """One request on a connection of its own."""
    reader, writer = await connect(port)
    try:
        writer.write(request)
        await reader.read()
    finally:
        writer.transport.abort()


async def hold(port: int, data: bytes, count: int) -> None:
    """Connections that send these bytes and then nothing, all at the same moment."""
    writers = [(await connect(port))[1] for _ in range(count)]
    try:
        for writer in writers:
            writer.write(data)
        await asyncio.Event().wait()
    finally:
        for writer in writers:
            writer.transport.abort()


def _bodies() -> dict[str, Attack]:
    def attack(kind: bytes, body: bytes) -> Attack:
        head = b"Connection: close\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
        return lambda port: repeat(port, HEAD + head % (kind, len(body)) + body)

    return {name: attack(*body) for name, body in attack_corpus.BODIES.items()}


async def nothing(_: int) -> None:
    """No attack: the figures to compare with."""
    await asyncio.Event().wait()


ATTACKS: dict[str, Attack] = {
    "none": nothing,
    **_bodies(),
    "heads without bodies": half_sent,
    "pipelines that are not read": pipelines,
    "chunks of one byte": chunks,
    "connections at once": at_once,
}


async def innocent(port: int, seconds: float) -> tuple[float, int]:
    """The p99 of one client's calls, and how many of them did not succeed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times, failures, end = [], 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        before = time.perf_counter()
        writer.write(harness.request())
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        times.append(time.perf_counter() - before)
        failures += not head.startswith(b"HTTP/1.1 200 ")
        await asyncio.sleep(PAUSE)
    writer.close()
    return sorted(times)[len(times) * 99 // 100], failures


@asynccontextmanager
async def running(what: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A server in a process of its own, and its port; `what` is `serve` or `serve-bare`."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, what, stdin=pipe, stdout=pipe
    )
    assert process.stdin
    assert process.stdout
    try:
        yield process, int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


class Figures(NamedTuple):
    """What the gateway tells of itself.

    The longest `stall` since it was last asked, in seconds; `resident` bytes; open `connections`;
    and the `requests` that it has answered.
    """

    stall: float
    resident: int
    connections: int
    requests: int


async def figures(process: asyncio.subprocess.Process) -> Figures:
    """Ask the gateway for its figures."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"\n")
    return Figures(*orjson.loads(await process.stdout.readline()))


@asynccontextmanager
async def attacker(name: str, port: int) -> AsyncIterator[None]:
    """A process that attacks for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "attack", name, str(port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        await process.stdout.readline()
        yield
    finally:
        process.kill()
        await process.wait()


async def measure(name: str) -> str:
    """One attack on a gateway of its own, as cells of a table."""
    async with running("serve") as (process, port), running("serve-bare") as (_, bare_port):
        await innocent(port, 0.3)
        alone, _ = await innocent(port, SECONDS)
        async with attacker(name, bare_port):
            beside, _ = await innocent(port, SECONDS)
        before = await figures(process)
        async with attacker(name, port):
            p99, failures = await innocent(port, SECONDS)
            after = await figures(process)
    grown, requests = (after.resident - before.resident) / 1e6, after.requests - before.requests
    times = f"{alone * 1e3:7.1f} {beside * 1e3:7.1f} {p99 * 1e3:9.1f}"
    costs = f"{after.stall * 1e3:8.1f} {grown:+7.1f} {after.connections:12} {requests:9}"
    return f"{costs} {times} {p99 / beside:6.1f} {failures:9}"


async def main(names: Iterable[str]) -> None:
    """Print the conditions, and a line for each attack."""
    load = "load averages " + " ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{os.cpu_count()} processors, {load} before; attacker at niceness {NICENESS}")
    print(
        "p99 in ms: alone, beside (a bare server is attacked), attacked; ratio: attacked / beside."
    )
    columns = "stall ms      MB  connections  requests   alone  beside  attacked  ratio  failures"
    print(f"{'attack':28} {columns}")
    for name in names:
        print(f"{name:28} {await measure(name)}", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            uvloop.run(serve())
        case ["serve-bare"]:
            uvloop.run(serve_bare())
        case ["attack", name, port]:
            os.nice(NICENESS)
            print(flush=True)
            uvloop.run(ATTACKS[name](int(port)))
        case names:
            asyncio.run(main(names or ATTACKS))
