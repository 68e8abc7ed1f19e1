"""Measure what open consoles cost a worker: the no-op call beside twenty live pages, and alone.

noop.Rounds with and without consoles alternate on one gateway, so that other load affects both.
"""

import asyncio
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import noop
import uvloop

from gateway.dev.demo import OPERATOR, PASSWORD
from gateway.dev.postgres import Cluster
from gateway.serve import server

CONSOLES = 20
ROUNDS = 8
CONSOLE = "/-/console"


async def sign_in(http: httpx2.AsyncClient) -> None:
    """Sign in as the demo's employee; the client keeps the cookie."""
    page = await http.get(f"{CONSOLE}/sign-in")
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found, page.text
    form = {"form": found[1], "email": OPERATOR, "password": PASSWORD}
    answer = await http.post(
        f"{CONSOLE}/sign-in", data=form, headers={"sec-fetch-site": "same-origin"}
    )
    assert answer.status_code == httpx2.codes.SEE_OTHER, answer.text


async def look(admin: str, ready: Any) -> None:
    """Keep the live overview open twenty times, as browsers do."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=admin, timeout=None, limits=limits) as http:
        await sign_in(http)
        opened = [asyncio.create_task(watch(http)) for _ in range(CONSOLES)]
        ready.set()
        await asyncio.gather(*opened)


async def watch(http: httpx2.AsyncClient) -> None:
    """Read one stream for ever."""
    async with http.stream("GET", f"{CONSOLE}/events?page=overview") as response:
        assert response.status_code == httpx2.codes.OK, response.status_code
        async for _ in response.aiter_bytes():
            pass
    raise AssertionError("the stream has ended")


@contextmanager
def consoles(admin: str) -> Iterator[None]:
    """Twenty live pages, read by another process, for the length of the block."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=lambda: uvloop.run(look(admin, ready)))
    process.start()
    try:
        assert ready.wait(30)
        # Wait until the first pages are rendered.
        time.sleep(1)
        assert process.is_alive()
        yield
        assert process.is_alive(), "a console has disconnected"
    finally:
        process.terminate()
        process.join()


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        token = asyncio.run(noop.prepare(cluster.url()))
        admin = server.listen("127.0.0.1", 0)
        process, port = noop.start(noop.serve_gateway, cluster.url(), admin)
        time.sleep(2)
        try:
            with noop.on_the_last_core():
                rounds = measure(process.pid, port, server.url(admin), noop.request_bytes(token))
            report(rounds)
        finally:
            process.terminate()
            process.join()


def measure(pid: int, port: int, admin: str, request: bytes) -> noop.Rounds:
    """The rounds without consoles and with them, in turn."""
    rounds: noop.Rounds = {"no console": [], f"{CONSOLES} consoles": []}
    names = [*rounds]
    for _ in range(ROUNDS):
        rounds[names[0]].append(noop.measure_once(pid, port, request))
        with consoles(admin):
            rounds[names[1]].append(noop.measure_once(pid, port, request))
    return rounds


def report(rounds: noop.Rounds) -> None:
    """Print the medians, and those with consoles as shares of those without."""
    load = " ".join(f"{average:.1f}" for average in os.getloadavg())
    print(
        f"{os.cpu_count()} cores, load averages {load}, {noop.CONNECTIONS} connections, "
        f"{ROUNDS} rounds of {noop.SECONDS:.0f} s of each, load and gateway on separate cores\n"
    )
    noop.print_medians(rounds, "no console", title="")


if __name__ == "__main__":
    main()
