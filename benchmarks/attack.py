"""Attack a gateway in many ways; print what each costs it, and a well-behaved client.

For each attack: the longest stall of the event loop, memory, connections, and the client's p99.
The gateway is the harness's: one worker without a database, in a process of its own.
"""

import asyncio
import contextlib
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attack_corpus
import harness
import orjson
import uvicorn
import uvloop

from gateway.edge.protocol import Edge
from gateway.serve import server

SECONDS = 2.0
"""The length of each attack."""

HALF_SENT = 1001
PIPELINES = 60
PIPELINED = b"GET /n HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000
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


def resident() -> int:
    """Bytes of memory that this process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def serve() -> None:
    """Serve on a free port, and answer each line of standard input with the figures since then."""
    listener = server.listen("127.0.0.1", 0)
    app = harness.worker().app
    # As a worker does when it has built its table.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(app, http=Edge, ws="none", lifespan="off", log_config=None)
    gateway, stalls = uvicorn.Server(config), Stalls()
    tasks = [
        asyncio.create_task(gateway.serve(sockets=[listener])),
        asyncio.create_task(stalls.watch()),
    ]
    print(listener.getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        rss = resident()
        connections = len(gateway.server_state.connections)
        print(orjson.dumps([stalls.take(), rss, connections]).decode(), flush=True)
    for task in tasks:
        task.cancel()


async def repeat(port: int, request: bytes) -> None:
    """One connection that sends a request again as soon as it is answered."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
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


async def hold(port: int, data: bytes, count: int) -> None:
    """Connections that send these bytes and then nothing."""
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(count)]
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
}


async def innocent(port: int, seconds: float) -> tuple[float, int]:
    """The p99 of one caller's calls, and how many of them did not succeed."""
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
async def gateway() -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A gateway in a process of its own, and its port."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "serve", stdin=pipe, stdout=pipe
    )
    assert process.stdin
    assert process.stdout
    try:
        yield process, int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def figures(process: asyncio.subprocess.Process) -> tuple[float, int, int]:
    """Stall in seconds, resident bytes and connections."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"\n")
    stall, rss, connections = orjson.loads(await process.stdout.readline())
    return stall, rss, connections


async def measure(attack: Attack) -> str:
    """One attack on a gateway of its own, as cells of a table."""
    async with gateway() as (process, port):
        await innocent(port, 0.3)
        _, before, _ = await figures(process)
        attacking = asyncio.create_task(attack(port))
        p99, failures = await innocent(port, SECONDS)
        stall, rss, connections = await figures(process)
        attacking.cancel()
        await asyncio.gather(attacking, return_exceptions=True)
    grown = (rss - before) / 1e6
    return f"{stall * 1e3:9.1f} {grown:+9.1f} {connections:12} {p99 * 1e3:8.1f} {failures:9}"


async def main() -> None:
    """Print a line for each attack."""
    print(f"{'attack':28} {'stall ms':>9} {'MB':>9} connections   p99 ms  failures")
    for name, attack in ATTACKS.items():
        print(f"{name:28} {await measure(attack)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        uvloop.run(serve())
    else:
        asyncio.run(main())
