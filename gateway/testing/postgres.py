"""A PostgreSQL that several test processes share; it ends with the last of them.

Run as a program it owns the server: `python -m gateway.testing.postgres FOLDER`. Every test process
holds a shared lock on a file while it needs the server, which the system releases however the
process ends. The program waits for an exclusive lock on that file, and then stops the server.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.dev.postgres import Cluster, EmbeddedError

OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "500",
}
"""The server's parameters: a test's rows need not survive a crash of the machine."""

_ADDRESS = "address"
_POLL_INTERVAL = 0.02


@contextlib.contextmanager
def shared_server(folder: Path) -> Iterator[str]:
    """The address of the server in a folder, for the length of the block; starts it if need be.

    Raises EmbeddedError.
    """
    # While a server stops it holds this lock alone.
    with _locked(folder / "users", fcntl.LOCK_SH):
        with _locked(folder / "start", fcntl.LOCK_EX):
            if not _is_owned(folder):
                _start(folder)
            address = (folder / _ADDRESS).read_text()
        yield address


def _start(folder: Path) -> None:
    (folder / _ADDRESS).unlink(missing_ok=True)
    log = folder / "owner.log"
    with log.open("wb") as output:
        owner = subprocess.Popen(
            [sys.executable, "-m", "gateway.testing.postgres", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C ends the tests, and only then the server
        )
    while not (folder / _ADDRESS).exists():
        if owner.poll() is not None:
            raise EmbeddedError(log.read_text().strip())
        time.sleep(_POLL_INTERVAL)
    # It outlives this process if other tests need it: no one waits for it.
    owner.returncode = 0


def _is_owned(folder: Path) -> bool:
    """Whether a process runs the server: it holds the lock of `Cluster`, and wrote its address."""
    with contextlib.suppress(FileNotFoundError), (folder / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return (folder / _ADDRESS).exists()
    return False


@contextlib.contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    """Hold a lock on a file for the length of the block."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)


def _own(folder: Path) -> None:
    """Run the server until no process uses it."""
    address = folder / _ADDRESS
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with Cluster(folder, options=OPTIONS) as cluster:
        written = folder / f"{_ADDRESS}.new"
        written.write_text(cluster.url("postgres"))
        written.rename(address)
        try:
            with _locked(folder / "users", fcntl.LOCK_EX):
                address.unlink()
                cluster.stop()
        finally:
            address.unlink(missing_ok=True)


def main() -> None:
    """Own the server of the folder that the argument names."""
    try:
        _own(Path(sys.argv[1]))
    except EmbeddedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
