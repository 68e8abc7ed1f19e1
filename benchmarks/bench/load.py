"""Send requests from a separate process: from wrk if it is installed, otherwise from `client.py`.

Requests at a fixed rate always come from `client.py`, since wrk has no open loop.
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
STUCK_TIMEOUT = 120
"""Seconds beyond the end of a run after which a load tool counts as stuck."""


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of one run: requests a second, milliseconds, processor microseconds a request."""

    rate: float
    p50: float = float("nan")
    p99: float = float("nan")
    cpu: float = float("nan")


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests at a fixed rate, and the HTTP status that their answers must have."""

    name: str
    requests: Path
    rate: float
    status: int = 200


class LoadError(Exception):
    """The load did not run, or answers were wrong."""


def tool(seconds: float) -> str:
    """The tool that sends the requests of a closed loop; wrk takes whole seconds only."""
    return "wrk" if shutil.which("wrk") and seconds >= 1 and seconds == int(seconds) else "own"


def describe_tool(seconds: float) -> str:
    """Describe the load tool, for the conditions."""
    return "wrk, one thread" if tool(seconds) == "wrk" else "our own asyncio client, not wrk"


def write(folder: Path, name: str, requests: Sequence[bytes]) -> Path:
    """Write requests into a file, which both load tools read."""
    file = folder / f"{name}.requests"
    file.write_bytes(SEPARATOR.join(requests))
    return file


def closed_loop(port: int, requests: Path, connections: int, seconds: float) -> tuple[Run, int]:
    """Send on each connection as soon as its last answer came; return the number of answers too.

    Raises LoadError unless every answer was a 200.
    """
    if tool(seconds) == "wrk":
        result = _run_wrk(port, requests, connections, int(seconds))
    else:
        options = {"port": port, "connections": connections, "seconds": seconds}
        result = _run_own_client({**options, "closed": str(requests)})
    if not result["done"]:
        raise LoadError("the server sent no answer")
    if result["wrong"]:
        raise LoadError(f"{result['wrong']} of {result['done']} answers were not 200")
    return _figures(result), result["done"]


def open_loop(port: int, streams: Sequence[Stream], seconds: float) -> Mapping[str, Run]:
    """Send at random moments at fixed rates; each latency counts from when its request was due."""
    listed = [{**_fields(stream), "requests": str(stream.requests)} for stream in streams]
    options = {"port": port, "connections": 256, "seconds": seconds, "streams": listed}
    results = _run_own_client(options)
    for name, result in results.items():
        if result["wrong"]:
            raise LoadError(f"{name}: {result['wrong']} of {result['done']} answers were wrong")
    return {name: _figures(result) for name, result in results.items()}


def _figures(result: Mapping[str, float]) -> Run:
    return Run(rate=result["done"] / result["seconds"], p50=result["p50"], p99=result["p99"])


def median(runs: Sequence[Run]) -> Run:
    """The medians of several runs, column by column."""
    columns = ("rate", "p50", "p99", "cpu")
    return Run(**{name: statistics.median(getattr(run, name) for run in runs) for name in columns})


def _fields(stream: Stream) -> dict[str, Any]:
    return {name: getattr(stream, name) for name in ("name", "rate", "status")}


def _run_wrk(port: int, requests: Path, connections: int, seconds: int) -> Any:
    script = ["-s", str(HERE / "wrk.lua"), f"http://127.0.0.1:{port}", "--", str(requests)]
    size = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    return _last_line(["wrk", *size, *script], seconds)


def _run_own_client(options: dict[str, Any]) -> Any:
    command = [sys.executable, str(HERE / "client.py"), orjson.dumps(options).decode()]
    return _last_line(command, options["seconds"])


def _last_line(command: list[str], seconds: float) -> Any:
    """Run a command and parse the JSON of its last line."""
    with on_the_last_core():
        completed = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + STUCK_TIMEOUT
        )
    if completed.returncode:
        raise LoadError(completed.stderr.strip() or completed.stdout.strip())
    return orjson.loads(completed.stdout.splitlines()[-1])
