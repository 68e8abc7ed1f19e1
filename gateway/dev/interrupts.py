"""What Ctrl-C and SIGTERM do to `gateway dev`: the first stops it, and later ones are ignored."""

import signal
from types import FrameType
from typing import Self

from gateway.serve.worker import Worker

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Raises KeyboardInterrupt at the first signal and ignores later ones: a context manager.

    During serving, uvicorn's own handlers are in place; `worker` tells whether they were called.
    """

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self._stopping = False

    def __enter__(self) -> Self:
        """Handle both signals, also where a shell started the process with SIGINT ignored."""
        for sig in SIGNALS:
            signal.signal(sig, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Ignore both: the process is about to end, and Python removes its handlers first."""
        for sig in SIGNALS:
            signal.signal(sig, signal.SIG_IGN)

    def _handle(self, _: int, __: FrameType | None) -> None:
        if self._stopping or (self.worker and self.worker.health.draining):
            return
        self._stopping = True
        raise KeyboardInterrupt
