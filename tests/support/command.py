"""The real `gateway` command: started in a folder, listened to, and ended by its own number."""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from support.harness import ROOT

PATIENCE = 120.0
"""Seconds after which a test stops waiting; far more than anything takes."""

_numbers = itertools.count(1)


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with `changes` as the only settings, and ports that are free."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    places = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ports = {"GATEWAY_PORT": "0", "GATEWAY_ADMIN_PORT": "0"}
    return {**kept, "PYTHONPATH": places, "COLUMNS": "200", **ports, **changes}


def run(*args: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself. None of them may show a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *args],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def succeeds(*args: str, cwd: Path, **changes: str) -> str:
    """What a command that exits 0 prints."""
    done = run(*args, cwd=cwd, **changes)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(*args: str, cwd: Path, **changes: str) -> str:
    """What a command that exits 1 says on standard error; it prints nothing else."""
    done = run(*args, cwd=cwd, **changes)
    assert (done.returncode, done.stdout) == (1, ""), done
    return done.stderr


def wait_until(holds: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until something holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Running:
    """A command that runs until it is told to end; what it prints goes to two files."""

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
        """Wait until it has printed something."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.out + self.err)):
            assert self.process.poll() is None, f"ended:\n{self.out}\n{self.err}"
            assert time.monotonic() < deadline, f"no {pattern}:\n{self.out}\n{self.err}"
            time.sleep(0.01)
        return found

    def url(self) -> str:
        """The address that it says it serves on."""
        return self.wait_for(r"(?:serving on|is ready:) (http://\S+)")[1]

    def admin(self) -> str:
        """The address of its admin port."""
        return self.wait_for(r"admin on (http://[^\s;)]+)")[1]

    def end(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; answer the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(PATIENCE)

    def access_lines(self) -> list[dict[str, Any]]:
        """The lines of its log that are about requests; every line of it is JSON."""
        lines = [orjson.loads(line) for line in self.err.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == "request"]


@contextlib.contextmanager
def running(*args: str, cwd: Path, **changes: str) -> Iterator[Running]:
    """Run a `gateway` command for the length of the block."""
    with started([sys.executable, "-m", "gateway", *args], cwd, changes) as made:
        yield made


@contextlib.contextmanager
def started(command: list[str], cwd: Path, changes: dict[str, str]) -> Iterator[Running]:
    """Run any command for the length of the block; then it and its children are gone."""
    made = Running(command, cwd, changes)
    try:
        yield made
    finally:
        children = children_of(made.process.pid)
        if made.process.poll() is None:
            made.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            made.process.wait(PATIENCE)
        made.process.kill()
        made.process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def processes() -> Iterator[tuple[int, int, str]]:
    """All processes: number, the parent's number, command line."""
    command = ["ps", "-axww", "-o", "pid=,ppid=,stat=,command="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        number, parent, state, words = line.split(maxsplit=3)
        if not state.startswith("Z"):
            yield int(number), int(parent), words


def children_of(number: int) -> set[int]:
    """The children of a process that are alive."""
    return {child for child, parent, _ in processes() if parent == number}


def servers_of(folder: Path) -> list[int]:
    """The PostgreSQL servers whose data is in a folder."""
    return [number for number, _, words in processes() if f"postgres -D {folder}/" in words]
