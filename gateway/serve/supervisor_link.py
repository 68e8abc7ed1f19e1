"""The link between a worker and its supervisor: a pair of sockets.

The worker reports either that it serves or why it cannot start. It ends once the supervisor is
gone: the kernel closes the supervisor's end however it dies.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

READY = b"ready"
MAX_REPORT = 4096

STOP_TIMEOUT = 45.0
"""Seconds after which a worker without a supervisor ends, even if its event loop is stuck."""


class SupervisorLink:
    """The worker's end; `descriptor` is inherited from the supervisor."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._stop: Callable[[], None] | None = None
        # A thread and not the event loop: importing the services may take long, or not end.
        threading.Thread(target=self._watch, name="supervisor", daemon=True).start()

    def on_gone(self, stop: Callable[[], None]) -> None:
        """Have `stop` called, in another thread, when the supervisor is gone.

        Until then the process just ends: it serves nothing yet.
        """
        self._stop = stop

    def report_ready(self) -> None:
        """Tell the supervisor that this worker serves."""
        self._report(READY)

    def report_failure(self, reason: str) -> None:
        """Tell the supervisor why this worker cannot start."""
        self._report(reason.encode()[:MAX_REPORT])

    def _report(self, message: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendall(message)

    def _watch(self) -> None:
        with contextlib.suppress(OSError):
            while self._socket.recv(1):
                pass
        if self._stop:
            self._stop()
            time.sleep(STOP_TIMEOUT)
        os.kill(os.getpid(), signal.SIGKILL)


class WorkerLink:
    """The supervisor's end; `inherited` is the descriptor that the worker gets."""

    def __init__(self) -> None:
        self._own, self._other = socket.socketpair()
        self._own.setblocking(False)  # noqa: FBT003 - positional only
        self.inherited = self._other.fileno()
        self._received = b""

    @property
    def is_ready(self) -> bool:
        """Whether the worker has served."""
        return self._received == READY

    @property
    def failure(self) -> str:
        """Why the worker cannot start; empty if it has not said."""
        return "" if self.is_ready else self._received.decode(errors="replace")

    def close_inherited(self) -> None:
        """Close this process's copy of the worker's end, once the worker has its own."""
        self._other.close()

    def read(self) -> None:
        """Read what the worker has reported so far."""
        with contextlib.suppress(OSError):
            while part := self._own.recv(MAX_REPORT):
                self._received += part

    def close(self) -> None:
        """Close the supervisor's end; the worker has ended."""
        self._own.close()
