"""What each part of a request costs within it, in microseconds of processor time.

A part is left out by giving its first result again and again; what the whole request then takes
less is its cost. That is about twice what the same part takes in a loop by itself, where all that
it needs is still in the processor's caches. The least of several rounds, the whole in turn with the
parts, over a connection without a socket.
"""

import contextlib
import inspect
import os
import platform
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import harness
import uvloop

from gateway import gate, pipeline
from gateway.serve.request_log import RequestLog
from gateway.stages import respond
from gateway.upstreams.call import CallFactory

ROUNDS = 15
REQUESTS = 1000
WARM = 200

PARTS: dict[str, tuple[Any, str]] = {
    "request: headers, id, address": (gate.Gate, "_request"),
    "match": (pipeline, "match"),
    "read body": (pipeline, "read_body"),
    "decode": (pipeline, "decode"),
    "resolve": (pipeline, "resolve"),
    "authenticate": (pipeline, "authenticate"),
    "validate": (pipeline, "validate"),
    "call": (CallFactory, "create"),
    "dispatch": (pipeline, "dispatch"),
    "respond": (respond, "success"),
    "headers": (gate.Gate, "_headers"),
    "count and log": (RequestLog, "record"),
    "all of the gate": (gate.Gate, "serve"),
}
"""The functions that are left out, by where they are looked up."""


async def _answer(_: gate.Gate, exchange: Any) -> None:
    """A gate that does nothing: what is left is the edge, a task and a turn of the loop."""
    exchange.take_body()
    await exchange.answer(200, [(b"content-length", b"2")], b"{}")


def _remembering(function: Any) -> Any:
    """The same, but that the first result is every result."""
    found: list[Any] = []
    if inspect.iscoroutinefunction(function):

        async def again(*args: Any) -> Any:
            if not found:
                found.append(await function(*args))
            return found[0]

        return again

    def once(*args: Any) -> Any:
        if not found:
            found.append(function(*args))
        return found[0]

    return once


@contextlib.contextmanager
def left_out(place: Any, name: str) -> Iterator[None]:
    """Without this part, for the length of the block."""
    function = getattr(place, name)
    setattr(place, name, _answer if name == "serve" else _remembering(function))
    try:
        yield
    finally:
        setattr(place, name, function)


async def _round(nowhere: TextIO) -> float:
    """Microseconds of a request."""
    worker = harness.worker()
    harness.log_to(worker, nowhere)
    edge, wire = harness.connection(worker.app)
    asked = harness.request()
    for _ in range(WARM):
        await harness.answer(edge, wire, asked)
    began = time.process_time()
    for _ in range(REQUESTS):
        await harness.answer(edge, wire, asked)
    took = time.process_time() - began
    edge.connection_lost(None)
    return took / REQUESTS * 1e6


async def main(nowhere: TextIO) -> None:
    """Measure and print."""
    least: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, part in {"the whole": None, **PARTS}.items():
            with left_out(*part) if part else contextlib.nullcontext():
                least[name] = min(least.get(name, float("inf")), await _round(nowhere))
    whole = least.pop("the whole")
    print(
        f"Python {platform.python_version()}, uvloop {metadata.version('uvloop')}, {ROUNDS} rounds"
    )
    for name, without in least.items():
        print(f"{name:32}{whole - without:6.1f}")
    print(f"{'edge, task and loop':32}{least['all of the gate']:6.1f}")
    print(f"{'the whole':32}{whole:6.1f}")


if __name__ == "__main__":
    with Path(os.devnull).open("w") as devnull:
        uvloop.run(main(devnull))
