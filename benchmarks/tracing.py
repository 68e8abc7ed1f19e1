"""What traces cost: the no-op call with traces off, on and not sampled, and all sampled.

`python benchmarks/tracing.py` starts a gateway for each, sends each the same POST in turn, round
after round, and prints medians and the processor time of a request. A receiver of spans beside the
load takes what the last one exports. With `--base FOLDER`, another checkout of the gateway is
measured in the same rounds, such as one from before a change.
"""

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import noop
import uvloop

from gateway.dev.postgres import Cluster
from gateway.serve import server

ROUNDS = 8
TRACEPARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n"
OFF = "off"

Rounds = dict[str, list[tuple[float, float]]]
"""Requests a second, and microseconds of processor time a request, of each round."""


async def receive(_: Any, receive: Any, send: Any) -> None:
    """Take spans, and answer nothing."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def serve_receiver(listener: socket.socket) -> None:
    """Serve the receiver on the core of the load, away from the gateways."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    noop.serve_asgi(listener, receive)


def serve(listener: socket.socket, url: str, variables: dict[str, str]) -> None:
    """Serve a gateway whose environment has these variables."""
    os.environ.update(variables)
    noop.serve_gateway(listener, url)


def serve_base(listener: socket.socket, url: str, folder: str) -> None:
    """Serve the gateway of another checkout, in a new interpreter."""
    program = (
        "import socket, noop; "
        f"noop.serve_gateway(socket.socket(fileno={listener.fileno()}), {url!r})"
    )
    listener.set_inheritable(True)
    path = os.pathsep.join([folder, f"{folder}/benchmarks"])
    environment = {**os.environ, "PYTHONPATH": path}
    os.execve(sys.executable, [sys.executable, "-c", program], environment)


def variants(address: str) -> dict[str, dict[str, str]]:
    """The variables of each gateway."""
    export = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_MAX_QUEUE_SIZE": "100000"}
    never = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    return {OFF: {}, "on, not sampled": {**export, **never}, "on, all sampled": export}


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    """A receiver of spans in a process of its own; yields its address."""
    listener = server.listen("127.0.0.1", 0)
    process = multiprocessing.get_context("fork").Process(target=serve_receiver, args=(listener,))
    process.start()
    try:
        yield server.url(listener)
    finally:
        process.terminate()
        process.join()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", metavar="FOLDER")
    base = parser.parse_args().base
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster(Path(folder)) as cluster,
        receiver() as address,
    ):
        token = asyncio.run(noop.prepare(cluster.url()))
        url = cluster.url()
        servers = {
            name: noop.start(serve, url, variables) for name, variables in variants(address).items()
        }
        if base:
            servers[f"base {revision(base)}"] = noop.start(serve_base, url, base)
        time.sleep(4)
        try:
            with noop.on_the_last_core():
                rounds = measure(servers, noop.request_bytes(token))
            report(rounds)
        finally:
            for process, _ in servers.values():
                process.terminate()
                process.join()


def revision(folder: str) -> str:
    """The short name of a checkout's commit."""
    command = ["git", "-C", folder, "rev-parse", "--short", "HEAD"]
    return subprocess.check_output(command, text=True).strip()


def measure(servers: dict[str, Any], request: bytes) -> Rounds:
    """The rounds of each gateway in turn, and of the first with a `traceparent` too."""
    traced = request.replace(b"host: x\r\n", b"host: x\r\n" + TRACEPARENT)
    loads = {name: (name, request) for name in servers}
    loads[f"{OFF}, with traceparent"] = OFF, traced
    rounds: Rounds = {name: [] for name in loads}
    for _ in range(ROUNDS):
        for name, (gateway, sent) in loads.items():
            process, port = servers[gateway]
            before = noop.processor_seconds(process.pid)
            rate = uvloop.run(noop.measure_rate(port, itertools.repeat(sent)))
            used = noop.processor_seconds(process.pid) - before
            rounds[name].append((rate, used / (rate * noop.SECONDS) * 1e6))
    return rounds


def report(rounds: Rounds) -> None:
    """Print the medians, and each as a share of the gateway whose traces are off."""
    load = " ".join(f"{average:.1f}" for average in os.getloadavg())
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load averages {load}, "
        f"{noop.CONNECTIONS} connections, {ROUNDS} rounds of {noop.SECONDS:.0f} s of each, load "
        "and receiver on one core, gateway on the other\n"
    )
    medians = {
        name: [statistics.median(column) for column in zip(*values, strict=True)]
        for name, values in rounds.items()
    }
    off = medians[OFF]
    print(f"{'traces':24}{'requests/s':>12}{'share':>8}{'cpu us/request':>16}{'share':>8}")
    for name, (rate, cpu) in medians.items():
        print(f"{name:24}{rate:12,.0f}{rate / off[0]:8.3f}{cpu:16.1f}{cpu / off[1]:8.3f}")


if __name__ == "__main__":
    main()
