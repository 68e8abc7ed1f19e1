"""Machines as network namespaces on one bridge: they can be killed, frozen, unplugged and cut off.

The program itself must run in a network and process namespace of its own (`tools/in-namespaces`),
so that nothing that it starts outlives it, and no address of the real machine changes.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

NETWORK = "10.88.0"
HERE = f"{NETWORK}.1"
"""The address of the callers and of the stand-in for Mandrill."""

NOWHERE = "02:00:00:00:00:99"
"""A hardware address that no machine has: packets to it vanish without an error."""

UNPRIVILEGED = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""PostgreSQL and PgBouncer refuse to run as root."""

END_TIMEOUT = 60.0
POLL_INTERVAL = 0.02


class Machine:
    """A machine with an address of its own; its processes log into files of its folder."""

    def __init__(self, name: str, number: int, folder: Path) -> None:
        self.name = name
        self.address = f"{NETWORK}.{number}"
        self.folder = folder
        folder.mkdir()
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        _wait_for_namespace(self._holder.pid)
        self._enter = ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net")
        self._port = f"port-{name}"
        pid = str(self._holder.pid)
        _run("ip", "link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", pid)
        _run("ip", "link", "set", self._port, "master", "bridge", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", "eth0", "up")

    def run(self, *command: str) -> None:
        """Run a command on this machine, and wait for its end."""
        _run(*self._enter, *command)

    def has(self, address: str) -> bool:
        """Whether this machine has an address beside its own."""
        command = [*self._enter, "ip", "-oneline", "address", "show", "to", address]
        return bool(subprocess.run(command, check=True, capture_output=True).stdout)

    def start(
        self,
        log: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        is_unprivileged: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start a program on this machine; its output is appended to `log` in the folder."""
        prefix = (*self._enter, *(UNPRIVILEGED if is_unprivileged else ()))
        with (self.folder / log).open("ab") as file:
            return subprocess.Popen(
                [*prefix, *command],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=self.folder,
                start_new_session=True,
            )

    def processes(self, command_part: str = "") -> list[int]:
        """Its processes, or those whose command contains a text."""
        namespace = Path(f"/proc/{self._holder.pid}/ns/net").readlink()
        return [
            pid
            for pid in _pids()
            if pid != self._holder.pid and _is_in(pid, namespace, command_part)
        ]

    def signal(self, number: signal.Signals, command_part: str = "") -> None:
        """Send a signal to all of its processes, or to those whose command contains a text."""
        for pid in self.processes(command_part):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self, command_part: str = "") -> None:
        """Kill all of its processes, or some, and wait until they have ended."""
        deadline = time.monotonic() + END_TIMEOUT
        # A process may start another one meanwhile.
        while self.processes(command_part):
            self.signal(signal.SIGKILL, command_part)
            time.sleep(POLL_INTERVAL)
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes of {self.name} do not end")

    def remove(self) -> None:
        """Kill everything on this machine, and take it from the network."""
        self.kill()
        # The kernel removes a namespace some time after its last process has ended.
        _run("ip", "link", "delete", self._port)
        self._holder.kill()
        self._holder.wait()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all of its processes for the length of the block."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def unplugged(self) -> Iterator[None]:
        """Pull its network cable for the length of the block."""
        _run("ip", "link", "set", self._port, "down")
        try:
            yield
        finally:
            _run("ip", "link", "set", self._port, "up")

    def turn_from(self, address: str) -> None:
        """Lose every packet to an address, silently."""
        self.run("ip", "neighbour", "replace", address, "lladdr", NOWHERE, *_PERMANENT)

    def turn_to(self, address: str) -> None:
        """Undo `turn_from`."""
        self.run("ip", "neighbour", "del", address, "dev", "eth0")


_PERMANENT = ("nud", "permanent", "dev", "eth0")


@contextlib.contextmanager
def cut(ones: Sequence[Machine], others: Sequence[Machine]) -> Iterator[None]:
    """Lose all packets between two groups of machines for the length of the block."""
    pairs = [(one, other) for one in ones for other in others]
    for one, other in pairs:
        one.turn_from(other.address)
        other.turn_from(one.address)
    try:
        yield
    finally:
        for one, other in pairs:
            one.turn_to(other.address)
            other.turn_to(one.address)


def build_bridge() -> None:
    """Build the bridge that the machines are plugged into."""
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "bridge", "type", "bridge")
    _run("ip", "address", "add", f"{HERE}/24", "dev", "bridge")
    _run("ip", "link", "set", "bridge", "up")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _wait_for_namespace(pid: int) -> None:
    """Wait until a process has entered its own network namespace and runs its program."""
    own = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == own:
        time.sleep(POLL_INTERVAL)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _is_in(pid: int, namespace: Path, command_part: str) -> bool:
    """Whether a process is in a network namespace, and its command contains a text."""
    try:
        is_there = Path(f"/proc/{pid}/ns/net").readlink() == namespace
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (OSError, UnicodeDecodeError):
        # It has ended.
        return False
    # A process that has ended and was not waited for has no command.
    return is_there and bool(command) and command_part in command
