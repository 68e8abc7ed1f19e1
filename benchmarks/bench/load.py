"""Send requests from a process of its own: wrk where it is installed, else a client of our own.

Requests at a fixed rate always come from our own client, since wrk knows none.
"""

import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.machine import on_the_last_core

HERE = Path(__file__).parent
SEPARATOR = b"\0"
SLACK = 120
"""Seconds beyond its own after which a load tool counts as stuck."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run found: requests a second, milliseconds, processor microseconds a request."""

    rate: float
    p50: float = float("nan")
    p99: float = float("nan")
    cpu: float = float("nan")


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests at a fixed rate, and the HTTP status that their answers are to have."""

    name: str
    requests: Path
    rate: float
    status: int = 200


class LoadError(Exception):
    """The load did not run, or answers were not what they are to be."""


def tool(seconds: float) -> str:
    """What sends the requests of a closed loop; wrk knows whole seconds only."""
    return "wrk" if shutil.which("wrk") and seconds >= 1 and seconds == int(seconds) else "own"


def described(seconds: float) -> str:
    """The load tool, for the conditions."""
    return "wrk, one thread" if tool(seconds) == "wrk" else "our own asyncio client, not wrk"


def write(folder: Path, name: str, requests: Sequence[bytes]) -> Path:
    """Requests in a file, which both load tools read."""
    file = folder / f"{name}.requests"
    file.write_bytes(SEPARATOR.join(requests))
    return file


def closed(port: int, requests: Path, connections: int, seconds: float) -> tuple[Run, int]:
    """A closed loop: each connection sends when its last answer came; and how many were answered.

    Raises LoadError unless every answer was a 200.
    """
    if tool(seconds) == "wrk":
        found = _wrk(port, requests, connections, int(seconds))
    else:
        asked = {"port": port, "connections": connections, "seconds": seconds}
        found = _own({**asked, "closed": str(requests)})
    if not found["done"]:
        raise LoadError("no answer came")
    if found["wrong"]:
        raise LoadError(f"{found['wrong']} of {found['done']} answers were not 200")
    return Run(found["done"] / found["seconds"], found["p50"], found["p99"]), found["done"]


def fixed(port: int, streams: Sequence[Stream], seconds: float) -> Mapping[str, Run]:
    """An open loop: random arrivals at fixed rates, measured from when each was due."""
    listed = [{**_fields(stream), "requests": str(stream.requests)} for stream in streams]
    found = _own({"port": port, "connections": 256, "seconds": seconds, "streams": listed})
    for name, each in found.items():
        if each["wrong"]:
            raise LoadError(f"{name}: {each['wrong']} of {each['done']} answers were wrong")
    return {
        name: Run(each["done"] / each["seconds"], each["p50"], each["p99"])
        for name, each in found.items()
    }


def median(runs: Sequence[Run]) -> Run:
    """The medians of some runs, column by column."""
    columns = ("rate", "p50", "p99", "cpu")
    return Run(*(statistics.median(getattr(run, name) for run in runs) for name in columns))


def _fields(stream: Stream) -> dict[str, Any]:
    return {name: getattr(stream, name) for name in ("name", "rate", "status")}


def _wrk(port: int, requests: Path, connections: int, seconds: int) -> Any:
    script = ["-s", str(HERE / "wrk.lua"), f"http://127.0.0.1:{port}", "--", str(requests)]
    size = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    return _answer(["wrk", *size, *script], seconds)


def _own(asked: dict[str, Any]) -> Any:
    command = [sys.executable, str(HERE / "client.py"), orjson.dumps(asked).decode()]
    return _answer(command, asked["seconds"])


def _answer(command: list[str], seconds: float) -> Any:
    """The last line that a command prints."""
    with on_the_last_core():
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + SLACK
        )
    if done.returncode:
        raise LoadError(done.stderr.strip() or done.stdout.strip())
    return orjson.loads(done.stdout.splitlines()[-1])
