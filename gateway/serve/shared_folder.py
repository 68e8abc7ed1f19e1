"""The folder in which the workers of one supervisor keep their metrics.

It ends with its supervisor. A supervisor that was killed leaves its folder behind; the next one on
this machine removes it. A lock tells a folder in use from a left one, also across containers that
share a temporary folder, where process ids would not.
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
    _remove_left()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    # The lock is not inherited by the workers, which may live a moment longer.
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_left() -> None:
    """Remove the folders whose supervisors have ended; those of other users stay."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError):
            if _is_left(lock):
                shutil.rmtree(lock.parent, ignore_errors=True)


def _is_left(path: Path) -> bool:
    lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
