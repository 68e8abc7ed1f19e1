"""The machine: which process has which core, the time it used, and what the run's conditions are.

Servers, and pgbench in their place, have the first core. PostgreSQL and the load have the last.
"""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_PACKAGES = ("uvicorn", "uvloop", "starlette", "asyncpg", "orjson", "jsonschema-rs")


def can_pin() -> bool:
    """Whether this system lets processes be kept on cores, and there are two of them."""
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1


def tells_memory() -> bool:
    """Whether a process can read how much memory it has, as on Linux."""
    return Path("/proc/self/statm").exists()


@contextlib.contextmanager
def on_the_first_core() -> Iterator[None]:
    """What is started in the block stays on the first core."""
    with _on(0):
        yield


@contextlib.contextmanager
def on_the_last_core() -> Iterator[None]:
    """What is started in the block stays on the last core."""
    with _on(-1):
        yield


@contextlib.contextmanager
def _on(place: int) -> Iterator[None]:
    if not can_pin():
        yield
        return
    before = os.sched_getaffinity(0)
    # Of all that the process was given when it began, not of what an outer block left.
    os.sched_setaffinity(0, {sorted(_CORES)[place]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far; NaN where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def conditions() -> str:
    """Processor, cores, topology, versions of the gateway's side."""
    where = (
        "servers and pgbench on the first core, PostgreSQL and the load on the last"
        if len(_CORES) > 1
        else "nothing pinned to a core"
    )
    load = os.getloadavg()[0]
    return (
        f"{_processor()}, {os.cpu_count()} cores ({where}), {platform.system()}; "
        f"Python {platform.python_version()}, {versions()}; load average at the start {load:.1f}"
    )


def versions() -> str:
    """The versions of the packages that the gateway's path is made of."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)


def said(*command: str) -> str:
    """What a command prints, or nothing where there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _processor() -> str:
    if not _CPUINFO.exists():
        return platform.processor() or platform.machine()
    named = [line for line in _CPUINFO.read_text().splitlines() if line.startswith("model name")]
    return named[0].partition(": ")[2] if named else platform.machine()
