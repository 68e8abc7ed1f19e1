"""Processes of this machine: the children of one, and whether one still runs."""

import subprocess
from collections.abc import Iterator
from typing import NamedTuple


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
