"""The servers: the gateway and its peers, each a single process on the first core."""

import contextlib
import json
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
from bench.database import ROOT, Database

BASELINES = ROOT / "benchmarks" / "baselines"
FASTIFY = BASELINES / "fastify"
PYTHON_PATH = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
"""`PYTHONPATH` of the child processes: the gateway and this package."""

CONNECTIONS = "16"
"""Database connections of a server; the gateway's default."""

START_TIMEOUT = 30.0
GATEWAY = "gateway"
ECHO = frozenset({"echo"})
DATABASE = frozenset({"create", "list"})


@dataclass(frozen=True, slots=True)
class Spec:
    """How to start a server, the requests that it can answer, and the versions of its packages."""

    name: str
    command: Sequence[str]
    requests: frozenset[str] = ECHO
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A running server."""

    name: str
    port: int
    pid: int
    requests: frozenset[str] = field(default=ECHO)


def specs(python: str, *, smoke: bool) -> tuple[list[Spec], list[str]]:
    """The servers that can run here, and a sentence for each that cannot."""
    script = str(Path(__file__).with_name("serve_gateway.py"))
    available = [Spec(GATEWAY, (sys.executable, script, "{port}"), ECHO | DATABASE)]
    missing = []
    for packages, name, app, requests in _PYTHON_PEERS[: 2 if smoke else None]:
        versions = machine.output_of(python, "-c", _VERSIONS, *packages.split())
        if versions:
            spec = Spec(name, _uvicorn(python, app), requests, tuple(versions.splitlines()))
            available.append(spec)
        else:
            missing.append(f"{name} is left out: {python} does not have all of {packages}.")
    if not smoke:
        _add_fastify(available, missing)
    return available, missing


_LOG_AND_COUNT = "structlog prometheus-client"
_PYTHON_PEERS = (
    ("uvicorn", "raw uvicorn echo", "raw_app", ECHO),
    ("starlette", "Starlette echo", "starlette_app", ECHO),
    (f"fastapi pydantic asyncpg {_LOG_AND_COUNT}", "FastAPI", "fastapi_app", DATABASE),
    ("fastapi pydantic", "FastAPI echo", "fastapi_echo", ECHO),
    ("litestar", "Litestar echo", "litestar_app", ECHO),
    ("blacksheep", "BlackSheep echo", "blacksheep_app", ECHO),
    (f"fastapi pydantic {_LOG_AND_COUNT}", "FastAPI, same work", "fastapi_same_work", ECHO),
    (f"litestar msgspec {_LOG_AND_COUNT}", "Litestar, same work", "litestar_same_work", ECHO),
    (f"blacksheep msgspec {_LOG_AND_COUNT}", "BlackSheep, same work", "blacksheep_same_work", ECHO),
)
_VERSIONS = """
import importlib.metadata, sys
print(*[f"{name} {importlib.metadata.version(name)}" for name in sys.argv[1:]], sep="\\n")
"""


def _uvicorn(python: str, app: str) -> Sequence[str]:
    implementation = ("--loop", "uvloop", "--http", "httptools")
    log = ("--no-access-log", "--log-level", "error")
    address = ("--app-dir", str(BASELINES), "--port", "{port}")
    return (python, "-m", "uvicorn", f"{app}:app", *address, *implementation, *log)


def _add_fastify(available: list[Spec], missing: list[str]) -> None:
    """Add Fastify if node is installed; install its packages if they are missing."""
    if not (shutil.which("node") and shutil.which("npm")):
        missing.append("Fastify is left out: node or npm is not installed.")
        return
    if _installed_for_fastify() != _wanted_for_fastify():
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        completed = subprocess.run(
            command, cwd=FASTIFY, capture_output=True, text=True, check=False
        )
        if completed.returncode:
            missing.append("Fastify is left out: npm could not install its packages.")
            return
    versions = _installed_for_fastify()
    node = (f"fastify {versions['fastify']}", f"node {machine.output_of('node', '--version')}")
    log_and_count = tuple(f"{name} {versions[name]}" for name in ("pino", "prom-client"))
    for name, file, requests in _FASTIFY_PEERS:
        server = ("node", str(FASTIFY / file))
        available.append(Spec(name, server, requests, (*node, *log_and_count)))


_FASTIFY_PEERS = (
    ("Fastify", "server.js", DATABASE),
    ("Fastify echo", "echo.js", ECHO),
    ("Fastify, same work", "same_work.js", ECHO),
)


def _wanted_for_fastify() -> dict[str, str]:
    return dict(json.loads((FASTIFY / "package.json").read_text())["dependencies"])


def _installed_for_fastify() -> dict[str, str]:
    packages = [FASTIFY / "node_modules" / name / "package.json" for name in _wanted_for_fastify()]
    found = [json.loads(package.read_text()) for package in packages if package.exists()]
    return {package["name"]: package["version"] for package in found}


@contextlib.contextmanager
def running(specs: Sequence[Spec], database: Database, folder: Path) -> Iterator[dict[str, Target]]:
    """Run all servers, by name, for the length of the block."""
    processes: list[subprocess.Popen[bytes]] = []
    servers: dict[str, Target] = {}
    try:
        for spec, port in zip(specs, _free_ports(len(specs)), strict=True):
            process = _start(spec, port, database, folder)
            processes.append(process)
            servers[spec.name] = Target(spec.name, port, process.pid, spec.requests)
        for target, process in zip(servers.values(), processes, strict=True):
            _wait_until_listening(target, process, folder)
        # If another program took a port in between, the server that lost it has exited by now.
        for target, process in zip(servers.values(), processes, strict=True):
            _refuse_failed(target, process, folder)
        yield servers
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            _stop(process)


def _start(spec: Spec, port: int, database: Database, folder: Path) -> subprocess.Popen[bytes]:
    command = [part.format(port=port) for part in spec.command]
    environment = {**os.environ, **_environment(port, database, folder)}
    with machine.on_the_first_core(), _log(spec.name, folder).open("wb") as log:
        # The gateway writes its access log there, as its peers write theirs, and no one reads them.
        stderr = subprocess.DEVNULL if spec.name == GATEWAY else log
        return subprocess.Popen(command, env=environment, stdout=log, stderr=stderr)


def _log(name: str, folder: Path) -> Path:
    return folder / f"{name.replace(' ', '-')}.log"


def _environment(port: int, database: Database, folder: Path) -> Mapping[str, str]:
    return {
        "PYTHONPATH": PYTHON_PATH,
        "NODE_ENV": "production",
        "PORT": str(port),
        "TOKENS": " ".join(database.tokens),
        "ACCESS_LOG": os.environ.get("ACCESS_LOG", os.devnull),
        "DATABASE_URL": database.url,
        "CONNECTIONS": CONNECTIONS,
        "GATEWAY_DATABASE_URL": database.url,
        "GATEWAY_DATABASE_CONNECTIONS": CONNECTIONS,
        "GATEWAY_DATA_DIR": str(folder / "data"),
        # All callers share one address here, so limits by address must not stop them.
        "GATEWAY_ADDRESS_GUESSES": "1000000",
        "GATEWAY_ACCOUNT_GUESSES": "1000000",
        "GATEWAY_UNKNOWN_CALLERS": "1000000",
    }


def _free_ports(count: int) -> list[int]:
    """Take free ports, all held at the same time so that no two are equal."""
    with contextlib.ExitStack() as held:
        listeners = [
            held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]


def _wait_until_listening(target: Target, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until a server listens; every server listens only when it is ready."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", target.port), 1).close()
            return
        _refuse_failed(target, process, folder, late=time.monotonic() > deadline)
        time.sleep(0.02)


def _refuse_failed(
    target: Target, process: subprocess.Popen[bytes], folder: Path, *, late: bool = False
) -> None:
    if process.poll() is not None or late:
        log = _log(target.name, folder).read_text()
        raise RuntimeError(f"{target.name} does not start: {log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
