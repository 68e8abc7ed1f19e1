"""The real `gateway` command as a process: started in a folder, read and stopped."""

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson

from support.harness import ROOT

PATIENCE = 120.0
"""Seconds after which a test stops waiting: far more than any step takes."""

OK = 200

_numbers = itertools.count(1)


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, with free ports, every answer checked, and `changes`."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")
    }
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    settings = {
        "GATEWAY_PORT": "0",
        "GATEWAY_ADMIN_PORT": "0",
        "GATEWAY_CHECK_RETURNS": "all",
    }
    return {**inherited, "PYTHONPATH": path, "COLUMNS": "200", **settings, **changes}


def run(*args: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. It must not print a traceback."""
    result = subprocess.run(
        [sys.executable, "-m", "gateway", *args],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result


def printed_by(program: str, *args: str) -> str:
    """The output of a Python program of the repository, which must exit 0."""
    result = subprocess.run(
        [sys.executable, program, *args],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def succeeds(*args: str, cwd: Path, **changes: str) -> str:
    """The output of a command, which must exit 0."""
    result = run(*args, cwd=cwd, **changes)
    assert result.returncode == 0, result.stderr
    return result.stdout


def fails(*args: str, cwd: Path, **changes: str) -> str:
    """The error output of a command, which must exit 1 and print nothing else."""
    result = run(*args, cwd=cwd, **changes)
    assert (result.returncode, result.stdout) == (1, ""), result
    return result.stderr


def runner(
    run_to_end: Callable[..., str], noun: str, folder: Path, database: str
) -> Callable[..., str]:
    """A function that runs `gateway NOUN …` on a database by `succeeds` or by `fails`."""

    def run_words(*words: str, noun: str = noun) -> str:
        return run_to_end(noun, *words, cwd=folder, GATEWAY_DATABASE_URL=database)

    return run_words


def wait_until(holds: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; fail if it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.01)


def is_refused(port: int) -> bool:
    """Whether nothing listens on a port of this machine."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
            return False
    except ConnectionResetError:
        # It listened, and was closed at this moment.
        return False
    except ConnectionRefusedError:
        return True


class Running:
    """A command that runs until it is stopped; its output goes to two files."""

    def __init__(self, command: list[str], folder: Path, changes: dict[str, str]) -> None:
        name = f"command-{next(_numbers)}"
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment(**changes), stdout=out, stderr=err
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until its output matches a pattern."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.out + self.err)):
            assert self.process.poll() is None, f"exited:\n{self.out}\n{self.err}"
            assert time.monotonic() < deadline, f"no {pattern}:\n{self.out}\n{self.err}"
            time.sleep(0.01)
        return match

    def url(self) -> str:
        """The URL that it serves on, as it prints it."""
        return self.wait_for(r"(?:serving on|is ready:) (http://\S+)")[1]

    def admin(self) -> str:
        """The URL of its admin port, as it prints it."""
        return self.wait_for(r"admin on (http://[^\s;)]+)")[1]

    def end(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; return the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(PATIENCE)

    def access_lines(self) -> list[dict[str, Any]]:
        """The access lines of its log; every line of the log must be JSON."""
        lines = [orjson.loads(line) for line in self.err.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == "request"]


@contextlib.contextmanager
def running(*args: str, cwd: Path, **changes: str) -> Iterator[Running]:
    """Run a `gateway` command for the length of the block."""
    with started([sys.executable, "-m", "gateway", *args], cwd, changes) as command:
        yield command


@contextlib.contextmanager
def started(command: list[str], cwd: Path, changes: dict[str, str]) -> Iterator[Running]:
    """Run any command for the length of the block, then end it and its children."""
    running_command = Running(command, cwd, changes)
    try:
        yield running_command
    finally:
        process = running_command.process
        children = children_of(process.pid)
        if process.poll() is None:
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def free_port() -> int:
    """A port that nothing uses."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


class Gateway:
    """`gateway serve` on ports that are known beforehand, so that its log need not be read."""

    def __init__(self, folder: Path, database: str, err: Any, *args: str, **changes: str) -> None:
        self.port, admin_port = free_port(), free_port()
        self.url, self.admin = (f"http://127.0.0.1:{port}" for port in (self.port, admin_port))
        ports = {"GATEWAY_PORT": str(self.port), "GATEWAY_ADMIN_PORT": str(admin_port)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", *args],
            cwd=folder,
            env=environment(GATEWAY_DATABASE_URL=database, **ports, **changes),
            stderr=err,
        )

    @classmethod
    @contextlib.contextmanager
    def started(
        cls, folder: Path, database: str, err: Any, *args: str, **changes: str
    ) -> Iterator["Gateway"]:
        """Run it for the length of the block, then kill it and its workers."""
        gateway = cls(folder, database, err, *args, **changes)
        try:
            yield gateway
        finally:
            children = children_of(gateway.process.pid)
            for pid in (gateway.process.pid, *children):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            gateway.process.wait()

    def is_ready(self) -> bool:
        """Whether it listens and is ready. It fails if a connection is not answered."""
        try:
            return httpx2.get(f"{self.url}/-/ready", timeout=10).status_code == OK
        except (httpx2.NetworkError, httpx2.RemoteProtocolError):
            return False

    def end(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; return the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(PATIENCE)


def processes() -> Iterator[tuple[int, int, str]]:
    """All processes: pid, the parent's pid, command line."""
    command = ["ps", "-axww", "-o", "pid=,ppid=,stat=,command="]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in result.stdout.splitlines():
        pid, parent, state, command_line = line.split(maxsplit=3)
        if not state.startswith("Z"):
            yield int(pid), int(parent), command_line


def children_of(pid: int) -> set[int]:
    """The live children of a process."""
    return {child for child, parent, _ in processes() if parent == pid}


def servers_of(folder: Path) -> list[int]:
    """The PostgreSQL servers whose data is in a folder."""
    return [pid for pid, _, line in processes() if f"postgres -D {folder}/" in line]
