"""The servers: the gateway and its peers, each one process on the first core."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine
from bench.database import ROOT

BASELINES = ROOT / "benchmarks" / "baselines"
FASTIFY = BASELINES / "fastify"
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
"""Where the processes that are started find the gateway and this package."""

CONNECTIONS = "16"
"""Database connections of a server; the gateway's own default."""

PATIENCE = 30.0
GATEWAY = "gateway"
ECHO = frozenset({"echo"})
ALL = frozenset({"echo", "create", "list"})


@dataclass(frozen=True, slots=True)
class Spec:
    """How a server is started, what it can answer, and what is to be said of it."""

    name: str
    command: Sequence[str]
    does: frozenset[str] = ECHO
    version: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A server that runs."""

    name: str
    port: int
    pid: int
    does: frozenset[str] = field(default=ECHO)


def specs(python: str, *, smoke: bool) -> tuple[list[Spec], list[str]]:
    """The servers that can run here, and a sentence for each that cannot."""
    found = [Spec(GATEWAY, (sys.executable, str(_here("serve_gateway.py")), "{port}"), ALL)]
    missing = []
    for package, name, app, does in _PYTHON[: 2 if smoke else None]:
        version = machine.said(python, "-c", _VERSION.format(package=package))
        if version:
            found.append(Spec(name, _uvicorn(python, app), does, f"{package} {version}"))
        else:
            missing.append(f"{name} is left out: {python} has no {package}.")
    if not smoke:
        _add_fastify(found, missing)
    return found, missing


_PYTHON = (
    ("uvicorn", "raw uvicorn echo", "raw_app", ECHO),
    ("starlette", "Starlette echo", "starlette_app", ECHO),
    ("fastapi", "FastAPI", "fastapi_app", ALL),
    ("litestar", "Litestar echo", "litestar_app", ECHO),
    ("blacksheep", "BlackSheep echo", "blacksheep_app", ECHO),
)
_VERSION = "import importlib.metadata as m; print(m.version('{package}'))"


def _here(name: str) -> Path:
    return Path(__file__).with_name(name)


def _uvicorn(python: str, app: str) -> Sequence[str]:
    how = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error")
    where = ("--app-dir", str(BASELINES), "--port", "{port}")
    return (python, "-m", "uvicorn", f"{app}:app", *where, *how)


def _add_fastify(found: list[Spec], missing: list[str]) -> None:
    """Fastify, where node is installed; its packages are fetched when they are not there yet."""
    if not (shutil.which("node") and shutil.which("npm")):
        missing.append("Fastify is left out: node or npm is not installed.")
        return
    if not (FASTIFY / "node_modules" / "fastify").exists():
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(command, cwd=FASTIFY, capture_output=True, text=True, check=False)
        if done.returncode:
            missing.append("Fastify is left out: npm could not install its packages.")
            return
    package = f"require('{FASTIFY}/node_modules/fastify/package').version"
    versions = machine.said("node", "-p", package), machine.said("node", "--version")
    said = "Fastify {}, node {}".format(*versions)
    found.append(Spec("Fastify", ("node", str(FASTIFY / "server.js")), ALL, said))


@contextlib.contextmanager
def running(specs: Sequence[Spec], database_url: str, folder: Path) -> Iterator[dict[str, Target]]:
    """All servers, by name, for the length of the block."""
    processes: list[subprocess.Popen[bytes]] = []
    found: dict[str, Target] = {}
    try:
        for spec, port in zip(specs, _free_ports(len(specs)), strict=True):
            process = _start(spec, port, database_url, folder)
            processes.append(process)
            found[spec.name] = Target(spec.name, port, process.pid, spec.does)
        for target, process in zip(found.values(), processes, strict=True):
            _wait(target, process, folder)
        # Who listens on a port may be another than who was to: that one has ended by now.
        for target, process in zip(found.values(), processes, strict=True):
            _check(target, process, folder)
        yield found
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            _end(process)


def _start(spec: Spec, port: int, database_url: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [part.format(port=port) for part in spec.command]
    environment = {**os.environ, **_environment(port, database_url, folder)}
    with machine.on_the_first_core(), _log(spec.name, folder).open("wb") as log:
        # The gateway's access log is part of its work, and what it writes is nobody's business.
        err = subprocess.DEVNULL if spec.name == GATEWAY else log
        return subprocess.Popen(command, env=environment, stdout=log, stderr=err)


def _log(name: str, folder: Path) -> Path:
    return folder / f"{name.replace(' ', '-')}.log"


def _environment(port: int, database_url: str, folder: Path) -> Mapping[str, str]:
    return {
        "PYTHONPATH": PATHS,
        "NODE_ENV": "production",
        "PORT": str(port),
        "DATABASE_URL": database_url,
        "CONNECTIONS": CONNECTIONS,
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_DATABASE_CONNECTIONS": CONNECTIONS,
        "GATEWAY_DATA_DIR": str(folder / "data"),
        # Callers share one address here, and none of them guesses.
        "GATEWAY_ADDRESS_GUESSES": "1000000",
        "GATEWAY_ACCOUNT_GUESSES": "1000000",
        "GATEWAY_UNKNOWN_CALLERS": "1000000",
    }


def _free_ports(count: int) -> list[int]:
    """All of them held at once, so that no two are the same."""
    with contextlib.ExitStack() as held:
        listeners = [
            held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]


def _wait(target: Target, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until it listens, which each does when it is ready."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", target.port), 1).close()
            return
        _check(target, process, folder, late=time.monotonic() > deadline)
        time.sleep(0.02)


def _check(
    target: Target, process: subprocess.Popen[bytes], folder: Path, *, late: bool = False
) -> None:
    if process.poll() is not None or late:
        said = _log(target.name, folder).read_text()
        raise RuntimeError(f"{target.name} does not start: {said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
