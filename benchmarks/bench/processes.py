"""Processes of this machine: the children of one, whether one still runs, and new ones."""

import contextlib
import multiprocessing
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gateway.serve import server


class _Process(NamedTuple):
    pid: int
    parent: int
    command: str


def children_of(pid: int, command_part: str = "") -> list[int]:
    """The running children of a process, if their command contains a text; it blocks."""
    return [
        process.pid
        for process in _running()
        if process.parent == pid and command_part in process.command
    ]


def is_running(pid: int, command_part: str) -> bool:
    """Whether this process runs and its command contains a text, as pids are reused; it blocks."""
    return any(process.pid == pid and command_part in process.command for process in _running())


def _running() -> Iterator[_Process]:
    """All processes except zombies."""
    ps = ["ps", "-axww", "-o", "pid=,ppid=,stat=,command="]
    output = subprocess.run(ps, capture_output=True, text=True, check=True).stdout
    for line in output.splitlines():
        pid, parent, state, *command = line.split(maxsplit=3)
        if not state.startswith("Z"):
            yield _Process(pid=int(pid), parent=int(parent), command="".join(command))


@contextlib.contextmanager
def served(serve: Callable[..., None]) -> Iterator[str]:
    """Run a server in another process, for the length of the block; yields its address."""
    listener = server.listen("127.0.0.1", 0)
    process = multiprocessing.get_context("fork").Process(target=serve, args=(listener,))
    process.start()
    try:
        yield server.url(listener)
    finally:
        process.terminate()
        process.join()
        listener.close()
