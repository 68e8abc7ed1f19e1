"""Calls of a service over HTTP: what the gateway adds, and what happens when endpoints fail.

`python benchmarks/http_services.py` prints both parts; `calls` or `faults` prints one. In the first
part the same service stands behind the gateway, nginx and HAProxy, if these are installed, and
behind FastAPI with httpx2 and Fastify with undici, if `--baselines` names a Python that has the
former and `make bench` has installed the latter. nginx and HAProxy only pass a request on; the
others look the token up, validate and sign the call. In the second part three
endpoints are under a steady load while one is killed and comes back, one becomes slow, and all are
gone.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import uvloop
from bench.proxies import PEERS, Peer, peer_running
from harness import post
from noop import (
    Rounds,
    measure_once,
    on_the_last_core,
    prepare,
    print_medians,
    request_bytes,
    serve_asgi,
    serve_gateway,
    start,
)

from gateway.database.connect import connect
from gateway.dev.postgres import Cluster
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
PARAMS = {"city": "Denver", "notes": "n" * 300}
RATE = 60
TIMEOUT = 4.0


async def service(scope: Any, receive: Any, send: Any) -> None:
    """The service: it answers the params; `POST /slow` with a number of seconds slows it down."""
    body = orjson.loads((await receive())["body"] or b"{}")
    if scope["path"] == "/slow":
        service.seconds = body  # type: ignore[attr-defined]
    await asyncio.sleep(getattr(service, "seconds", 0.0))
    answer = orjson.dumps({"data": body["params"]} if isinstance(body, dict) else None)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def manifest(ports: list[int]) -> dict[str, Any]:
    """The service at these ports, with a route that reads and one that does not."""
    properties = {"city": {"type": "string"}, "notes": {"type": "string", "maxLength": 1000}}
    route = {
        "deployed": True,
        "title": "T",
        "auth": ["session"],
        "roles": {"planoorder": ["employee"]},
        "params": {"required": ["city"], "properties": properties},
    }
    return {
        "version": 1,
        "namespace": "tours",
        "services": {
            "tours": {
                "kind": "http",
                "deployed": True,
                "title": "Tours",
                "endpoints": [f"http://127.0.0.1:{port}" for port in ports],
                "secret": "env:TOURS_SECRET",
                "timeout": "1s",
            }
        },
        "routes": {
            "tours.book": {**route, "method": "POST"},
            "tours.show": {**route, "method": "GET", "path": "/tours/{city}"},
        },
    }


async def apply_service(url: str, folder: Path, ports: list[int]) -> str:
    """Fill the database, apply the service, and return an employee's token."""
    token = await prepare(url)
    file = folder / "tours.yaml"
    file.write_bytes(orjson.dumps(manifest(ports)))
    connection = await connect(url)
    try:
        for desired in check(file):
            await apply(connection, desired, Author("benchmark"))
    finally:
        await connection.close()
    return token


def compare_calls(options: argparse.Namespace) -> None:
    """The first part: rates and processor time of a call."""
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name)) as cluster:
        upstream, upstream_port = start(serve_asgi, service)
        folder = Path(name)
        token = asyncio.run(apply_service(cluster.url(), folder, [upstream_port]))
        gateway, gateway_port = start(serve_gateway, cluster.url())
        call = post("/api/v1/tours/book", PARAMS, token)
        wait_until_ready(gateway_port, call)
        plain = post("/tours/book", {"params": PARAMS, "caller": {}})
        tried = {
            "the service itself": (upstream.pid, upstream_port, plain),
            "gateway": (gateway.pid, gateway_port, call),
            "gateway, no-op": (gateway.pid, gateway_port, request_bytes(token)),
        }
        try:
            with contextlib.ExitStack() as stack:
                for peer in PEERS:
                    given = Peer(upstream_port, folder, options.baselines, token, SECRET)
                    if found := stack.enter_context(peer_running(peer, given)):
                        tried[peer] = (*found, call if peer in WORKERS else plain)
                time.sleep(2)
                report_calls(tried, options.rounds)
        finally:
            for process in (gateway, upstream):
                process.terminate()
                process.join()


WORKERS = ("FastAPI + httpx2", "Fastify + undici")
"""The peers that do the same work as the gateway."""


def report_calls(tried: dict[str, tuple[int, int, bytes]], rounds: int) -> None:
    """Measure in turn, and print medians."""
    results: Rounds = {name: [] for name in tried}
    latencies: dict[str, list[float]] = {name: [] for name in tried}
    with on_the_last_core():
        for _ in range(rounds):
            for name, (pid, port, request) in tried.items():
                results[name].append(measure_once(pid, port, request))
                latencies[name] += uvloop.run(steady(port, request, seconds=2.0))
    print_medians(results, "gateway", title="one endpoint", share="x gw")
    print(f"\n{'at a steady rate':24}{'p50 ms':>12}{'p99 ms':>12}")
    for name, times in latencies.items():
        print(f"{name:24}{quantile(times, 0.5):12.1f}{quantile(times, 0.99):12.1f}")


def quantile(times: list[float], share: float) -> float:
    """A quantile of seconds, in milliseconds."""
    return statistics.quantiles(times, n=1000)[int(share * 1000) - 1] * 1000


async def steady(port: int, request: bytes, seconds: float) -> list[float]:
    """The latencies of calls that begin at a fixed rate."""
    return [outcome.seconds for outcome in await load(port, {"call": request}, seconds)]


class Outcome(NamedTuple):
    """One call: when it began, how long it took, and its HTTP status, 0 without one."""

    kind: str
    at: float
    seconds: float
    status: int


async def load(port: int, requests: dict[str, bytes], seconds: float) -> list[Outcome]:
    """Call in turn at `RATE`, whether or not earlier calls have ended; return all outcomes."""
    began, calls = time.monotonic(), []
    for number in range(int(seconds * RATE)):
        await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
        kind = [*requests][number % len(requests)]
        calls.append(asyncio.create_task(one_call(port, kind, requests[kind], began)))
    return await asyncio.gather(*calls)


async def one_call(port: int, kind: str, request: bytes, began: float) -> Outcome:
    """One call on a connection of its own."""
    at = time.monotonic()
    status = 0
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            status = int((await reader.readline()).split(b" ")[1])
            writer.close()
    return Outcome(kind, at - began, time.monotonic() - at, status)


def wait_until_ready(port: int, request: bytes) -> None:
    """Call until an answer is 200: a worker needs a moment for its first table."""
    for _ in range(100):
        if asyncio.run(one_call(port, "", request, 0.0)).status == HTTPStatus.OK:
            return
        time.sleep(0.2)
    raise SystemExit("the gateway does not answer")


class Endpoint:
    """One endpoint in a process of its own, on a port that it keeps."""

    def __init__(self) -> None:
        self.process, self.port = start(serve_asgi, service)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()

    def again(self) -> None:
        """Start it again on its port."""
        listener = socket.create_server(("127.0.0.1", self.port))
        pid = os.fork()
        if pid == 0:
            serve_asgi(listener, service)
            os._exit(0)
        listener.close()
        self.pid = pid

    async def slow(self, seconds: float) -> None:
        await one_call(self.port, "", post("/slow", seconds), 0.0)

    def end(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self.process.is_alive():
            self.kill()


def show_faults(_: argparse.Namespace) -> None:
    """The second part: endpoints that fail under a steady load."""
    os.environ["TOURS_SECRET"] = SECRET
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name)) as cluster:
        endpoints = [Endpoint() for _ in range(3)]
        ports = [endpoint.port for endpoint in endpoints]
        token = asyncio.run(apply_service(cluster.url(), Path(name), ports))
        gateway, port = start(serve_gateway, cluster.url())
        wait_until_ready(port, post("/api/v1/tours/book", PARAMS, token))
        try:
            asyncio.run(faults(port, token, endpoints))
        finally:
            for endpoint in endpoints:
                endpoint.end()
            gateway.terminate()
            gateway.join()


async def faults(port: int, token: str, endpoints: list[Endpoint]) -> None:
    """Run the phases one after the other, and print what callers saw."""
    show = f"GET /tours/Denver HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
    requests = {
        "POST": post("/api/v1/tours/book", PARAMS, token),
        "GET": show.encode(),
        "no-op": request_bytes(token),
    }
    first, second, third = endpoints
    print(f"{'phase':34}{'kind':8}{'calls':>7}{'refused':>9}{'p50 ms':>9}{'p99 ms':>9}  refused at")

    async def phase(title: str, seconds: float, *actions: tuple[float, Any]) -> None:
        loading = asyncio.create_task(load(port, requests, seconds))
        began = time.monotonic()
        for at, action in actions:
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            if (made := action()) is not None:
                await made
        print_phase(title, await loading)

    await phase("all well", 8)
    await phase("one killed at 2 s, back at 8 s", 14, (2, first.kill), (8, first.again))
    await phase("one answers after 2 s, from 2 s", 14, (2, lambda: second.slow(2.0)))
    await second.slow(0.0)
    gone = [(2, first.end), (2, second.kill), (2, third.kill)]
    back = [(8, second.again), (8, third.again)]
    await phase("all gone at 2 s, back at 8 s", 14, *gone, *back)


def print_phase(title: str, outcomes: list[Outcome]) -> None:
    """One line for each kind of call, with the first and the last second of refusals."""
    for kind in ("POST", "GET", "no-op"):
        own = [outcome for outcome in outcomes if outcome.kind == kind]
        refused = [outcome for outcome in own if outcome.status != HTTPStatus.OK]
        times = [outcome.seconds for outcome in own]
        span = f"{refused[0].at:.1f} to {refused[-1].at:.1f} s" if refused else ""
        slowest = ""
        if refused:
            quick = statistics.median(outcome.seconds for outcome in refused) * 1000
            slowest = f", median {quick:.1f} ms"
        print(
            f"{title:34}{kind:8}{len(own):7}{len(refused):9}"
            f"{quantile(times, 0.5):9.1f}{quantile(times, 0.99):9.1f}  {span}{slowest}"
        )


def parts() -> Iterator[tuple[str, Any]]:
    yield "calls", compare_calls
    yield "faults", show_faults


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", nargs="*", help="calls, faults; by default both")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the calls (5)")
    parser.add_argument("--baselines", default=sys.executable, help="a Python with the peers")
    options = parser.parse_args()
    os.environ["TOURS_SECRET"] = SECRET
    for name, run in parts():
        if not options.part or name in options.part:
            run(options)
            print()


if __name__ == "__main__":
    main()
