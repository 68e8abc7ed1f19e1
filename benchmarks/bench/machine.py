"""The machine: the core of each process, its processor time, and the conditions of a run.

Servers, or pgbench in their place, run on the first core. PostgreSQL and the load run on the last.
"""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_PACKAGES = ("uvicorn", "uvloop", "starlette", "asyncpg", "orjson", "jsonschema-rs")


def can_pin() -> bool:
    """Whether this system can pin processes to cores and has at least two."""
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1


def reports_memory() -> bool:
    """Whether a process can read its own memory use, as on Linux."""
    return Path("/proc/self/statm").exists()


@contextlib.contextmanager
def on_the_first_core() -> Iterator[None]:
    """Pin the processes that the block starts to the first core."""
    with _on_core(0):
        yield


@contextlib.contextmanager
def on_the_last_core() -> Iterator[None]:
    """Pin the processes that the block starts to the last core."""
    with _on_core(-1):
        yield


@contextlib.contextmanager
def _on_core(index: int) -> Iterator[None]:
    if not can_pin():
        yield
        return
    outer_cores = os.sched_getaffinity(0)
    # The index counts the cores that the process started with, not those of an enclosing block.
    os.sched_setaffinity(0, {sorted(_CORES)[index]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, outer_cores)


_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far; NaN where the system does not report it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def conditions(*, pinned: bool = True) -> str:
    """Processor, cores, pinning, and the versions of the gateway's packages."""
    pinning = (
        "servers and pgbench on the first core, PostgreSQL and the load on the last"
        if pinned and len(_CORES) > 1
        else "nothing pinned to a core"
    )
    load = os.getloadavg()[0]
    return (
        f"{_processor()}, {os.cpu_count()} cores ({pinning}), {platform.system()}; "
        f"{describe_python()}, {versions()}; load average at the start {load:.1f}"
    )


def describe_python(python: str = sys.executable) -> str:
    """The version of an interpreter, and whether it was built with PGO."""
    return output_of(python, "-c", _DESCRIBE_PYTHON)


# Debian and Fedora build with PGO by rules of their own, which `sysconfig` does not show.
_DESCRIBE_PYTHON = """
import os, platform, sys, sysconfig
packaged = os.path.realpath(sys.executable).startswith("/usr/bin/")
pgo = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
build = "of the system's packages" if packaged else "with PGO" if pgo else "without PGO"
print(f"Python {platform.python_version()} {build}")
"""


def versions() -> str:
    """The versions of the packages that a request of the gateway runs through."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)


def output_of(*command: str) -> str:
    """The output of a command; empty if the command is not installed."""
    try:
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return completed.stdout.strip()


def _processor() -> str:
    if not _CPUINFO.exists():
        return platform.processor() or platform.machine()
    models = [line for line in _CPUINFO.read_text().splitlines() if line.startswith("model name")]
    return models[0].partition(": ")[2] if models else platform.machine()
