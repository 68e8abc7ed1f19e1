"""The link between a worker and its supervisor: a pair of sockets.

The worker reports either that it serves or why it cannot start. While it serves it sends signs of
life, until it reports that it stops. It ends once the supervisor is gone: the kernel closes the
supervisor's end however it dies.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

READY = b"ready"
ALIVE = b"."
STOPPING = b"!"
MAX_REPORT = 4096

STOP_TIMEOUT = 45.0
"""Seconds after which a worker without a supervisor ends, even if its event loop is stuck."""


class SupervisorLink:
    """The worker's end; `descriptor` is inherited from the supervisor."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._stop: Callable[[], None] | None = None
        self._is_ready = False
        # A thread and not the event loop: importing the services may take long, or not end.
        threading.Thread(target=self._watch, name="supervisor", daemon=True).start()

    def on_gone(self, stop: Callable[[], None]) -> None:
        """Have `stop` called, in another thread, when the supervisor is gone.

        Until then the process just ends: it serves nothing yet.
        """
        self._stop = stop

    def report_ready(self) -> None:
        """Tell the supervisor that this worker serves."""
        self._is_ready = True
        self._report(READY)

    def report_stopping(self) -> None:
        """Tell the supervisor that this worker stops; it needs no sign of life from then on."""
        # Before it serves, anything but `READY` would be a reason why it cannot start.
        if self._is_ready:
            self._report(STOPPING)

    def report_alive(self) -> None:
        """Tell the supervisor that the event loop turns."""
        self._report(ALIVE)

    def report_failure(self, reason: str) -> None:
        """Tell the supervisor why this worker cannot start."""
        self._report(reason.encode()[:MAX_REPORT])

    def _report(self, message: bytes) -> None:
        # Without waiting: a supervisor that is stopped reads nothing.
        with contextlib.suppress(OSError):
            self._socket.send(message, socket.MSG_DONTWAIT)

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
        self._is_stopping = False
        self._silent_turns = 0

    @property
    def is_ready(self) -> bool:
        """Whether the worker has served."""
        return self._received.startswith(READY)

    @property
    def silent_turns(self) -> int:
        """How often in a row `read` found no sign of life of a worker that should send some."""
        return self._silent_turns if self.is_ready and not self._is_stopping else 0

    @property
    def failure(self) -> str:
        """Why the worker cannot start; empty if it has not said."""
        return "" if self.is_ready else self._received.decode(errors="replace")

    def close_inherited(self) -> None:
        """Close this process's copy of the worker's end, once the worker has its own."""
        self._other.close()

    def read(self) -> None:
        """Read what the worker has reported so far."""
        # Turns are counted and not seconds: after a pause of the whole machine the supervisor may
        # run before its workers do.
        self._silent_turns += 1
        with contextlib.suppress(OSError):
            while part := self._own.recv(MAX_REPORT):
                self._silent_turns = 0
                self._received = (self._received + part)[:MAX_REPORT]
                self._is_stopping |= self.is_ready and STOPPING in part

    def close(self) -> None:
        """Close the supervisor's end; the worker has ended."""
        self._own.close()
