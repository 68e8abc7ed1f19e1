"""The folder in which the workers of one supervisor keep their metrics.

A supervisor removes its folder when it ends. If it is killed, the folder stays, and the next
supervisor on this machine removes it. A lock marks a folder that is in use: containers may share a
temporary folder, and a process id says nothing in another container.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "gateway-metrics-"
LOCK = "in-use"


@contextlib.contextmanager
def shared_folder() -> Iterator[str]:
    """A new folder that is removed at the end. Raises OSError."""
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    # Workers do not inherit the lock, since they may run a moment longer than the supervisor.
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_abandoned() -> None:
    """Remove the folders whose supervisors have ended; those of other users stay."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError):
            if _is_abandoned(lock):
                shutil.rmtree(lock.parent, ignore_errors=True)


def _is_abandoned(path: Path) -> bool:
    lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
