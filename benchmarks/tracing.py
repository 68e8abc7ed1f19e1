"""What traces cost: the no-op call with traces off, on and not sampled, and all sampled.

`python benchmarks/tracing.py` starts a gateway for each, sends each the same POST in turn, round
after round, and prints medians and the processor time of a request. A receiver of spans beside the
load takes what the last one exports. With `--base FOLDER`, another checkout of the gateway is
measured in the same rounds, such as one from before a change.
"""

import argparse
import asyncio
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import noop
from bench.processes import served

from gateway.dev.postgres import Cluster

ROUNDS = 8
TRACEPARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n"
OFF = "off"


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", metavar="FOLDER")
    base = parser.parse_args().base
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster(Path(folder)) as cluster,
        served(serve_receiver) as address,
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


def measure(servers: dict[str, Any], request: bytes) -> noop.Rounds:
    """The rounds of each gateway in turn, and of the first with a `traceparent` too."""
    traced = request.replace(b"host: x\r\n", b"host: x\r\n" + TRACEPARENT)
    loads = {name: (name, request) for name in servers}
    loads[f"{OFF}, with traceparent"] = OFF, traced
    rounds: noop.Rounds = {name: [] for name in loads}
    for _ in range(ROUNDS):
        for name, (gateway, sent) in loads.items():
            process, port = servers[gateway]
            rounds[name].append(noop.measure_once(process.pid, port, sent))
    return rounds


def report(rounds: noop.Rounds) -> None:
    """Print the medians, and each as a share of the gateway whose traces are off."""
    load = " ".join(f"{average:.1f}" for average in os.getloadavg())
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load averages {load}, "
        f"{noop.CONNECTIONS} connections, {ROUNDS} rounds of {noop.SECONDS:.0f} s of each, load "
        "and receiver on one core, gateway on the other\n"
    )
    noop.print_medians(rounds, OFF, title="traces")


if __name__ == "__main__":
    main()
