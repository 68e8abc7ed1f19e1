"""What each part of a request costs, in microseconds of processor time.

A part is left out by returning its first result every time; its cost is the time that the request
then saves. This is about twice the time of the same part in a loop by itself, where everything it
needs stays in the processor's caches. The whole request and the parts take turns, over a connection
without a socket; each figure is the minimum of several rounds.
"""

import argparse
import contextlib
import inspect
import os
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import harness
import uvloop
from bench.machine import describe_python

from gateway import gate, pipeline
from gateway.edge.admission import Admission
from gateway.serve.request_log import RequestLog
from gateway.stages import respond
from gateway.upstreams.call import CallFactory

ROUNDS = 15
REQUESTS = 1000
WARM = 200
WHOLE = "whole request"

PARTS: dict[str, tuple[Any, str]] = {
    "request: headers, id, address": (gate.Gate, "_request"),
    "match": (pipeline, "match"),
    "read body": (Admission, "read"),
    "decode": (pipeline, "decode"),
    "resolve": (pipeline, "resolve"),
    "authenticate": (pipeline, "authenticate"),
    "validate": (pipeline, "validate"),
    "call": (CallFactory, "create"),
    "dispatch": (pipeline, "dispatch"),
    "respond": (respond, "success"),
    "headers": (gate.Gate, "_lines"),
    "count and log": (RequestLog, "record"),
    "whole gate": (gate.Gate, "serve"),
}
"""The functions to leave out: the object on which each is looked up, and its name."""


async def _answer(_: gate.Gate, exchange: Any) -> None:
    """A gate that does nothing, which leaves the edge, a task and a turn of the loop."""
    exchange.take_body()
    await exchange.answer(200, b"content-length: 2\r\n", b"{}")


def _return_first_result(function: Any) -> Any:
    """A function that runs `function` once and then returns its first result every time."""
    results: list[Any] = []
    if inspect.iscoroutinefunction(function):

        async def first_result(*args: Any) -> Any:
            if not results:
                results.append(await function(*args))
            return results[0]

        return first_result

    def first_plain_result(*args: Any) -> Any:
        if not results:
            results.append(function(*args))
        return results[0]

    return first_plain_result


@contextlib.contextmanager
def left_out(owner: Any, name: str) -> Iterator[None]:
    """Leave out one part, for the length of the block."""
    function = getattr(owner, name)
    setattr(owner, name, _answer if name == "serve" else _return_first_result(function))
    try:
        yield
    finally:
        setattr(owner, name, function)


async def _measure_round(devnull: TextIO) -> float:
    """Microseconds of a request, the mean of a round. Raises RuntimeError if it is not answered."""
    worker = harness.worker()
    harness.log_to(worker, devnull)
    edge, transport = harness.connection(worker.app)
    request = harness.request()
    for _ in range(WARM):
        answer = await harness.answer(edge, transport, request)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the answer is {answer!r}")
    started = time.process_time()
    for _ in range(REQUESTS):
        await harness.answer(edge, transport, request)
    elapsed = time.process_time() - started
    edge.connection_lost(None)
    return elapsed / REQUESTS * 1e6


async def main(devnull: TextIO, rounds: int) -> None:
    """Measure and print."""
    minima: dict[str, float] = {}
    for _ in range(rounds):
        for name, part in {WHOLE: None, **PARTS}.items():
            with left_out(*part) if part else contextlib.nullcontext():
                minimum = minima.get(name, float("inf"))
                minima[name] = min(minimum, await _measure_round(devnull))
    whole = minima.pop(WHOLE)
    print(
        f"{describe_python()}, uvloop {metadata.version('uvloop')}, {rounds} rounds, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    for name, without in minima.items():
        print(f"{name:32}{whole - without:6.1f}")
    print(f"{'edge, task and loop':32}{minima['whole gate']:6.1f}")
    print(f"{WHOLE:32}{whole:6.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each part (15)")
    rounds = parser.parse_args().rounds
    with Path(os.devnull).open("w") as devnull:
        uvloop.run(main(devnull, rounds))
