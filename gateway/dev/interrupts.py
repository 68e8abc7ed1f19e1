"""What Ctrl-C, SIGTERM and SIGHUP do to `gateway dev`: one stops it, and later ones are ignored."""

import signal
from types import FrameType
from typing import Self

from gateway.serve.server import stop_signals
from gateway.serve.worker import Worker


class Interrupts:
    """Raises KeyboardInterrupt at the first signal and ignores later ones: a context manager.

    During serving, uvicorn's own handlers are in place; `worker` tells whether they were called.
    """

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self._stopping = False
        self._signals = stop_signals()

    def __enter__(self) -> Self:
        """Handle the signals, also where a shell started the process with SIGINT ignored."""
        for sig in self._signals:
            signal.signal(sig, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Ignore them: the process is about to end, and Python removes its handlers first."""
        for sig in self._signals:
            signal.signal(sig, signal.SIG_IGN)

    def _handle(self, _: int, __: FrameType | None) -> None:
        if self._stopping or (self.worker and self.worker.health.draining):
            return
        self._stopping = True
        raise KeyboardInterrupt
