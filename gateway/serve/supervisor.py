"""The supervisor of several worker processes, which share two listening sockets."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from gateway.runtime import events, metrics
from gateway.serve.server import ServeError

RESTART_INTERVAL = 0.2


class Supervisor:
    """Starts `count` worker processes on the same two sockets, and replaces those that die.

    `settings` are variables that the workers get besides the environment.
    """

    def __init__(
        self,
        listener: socket.socket,
        admin: socket.socket,
        count: int,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._settings = settings
        self._listeners = (listener, admin)
        self._sockets = (listener.fileno(), admin.fileno())
        self._count = count
        self._folder = ""
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stopping = False

    def run(self) -> None:
        """Run the workers until SIGTERM or SIGINT; then stop them and wait for their end."""
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._stop)
        with _shared_folder() as self._folder:
            for worker_index in range(self._count):
                self._workers.append(self._start(worker_index))
            while not self._stopping:
                time.sleep(RESTART_INTERVAL)
                self._restart_dead()
            self._signal_all(signal.SIGTERM)
            # Each worker has its own copies; an open copy here would keep new connections waiting.
            for listener in self._listeners:
                listener.close()
            for worker in self._workers:
                worker.wait()

    def _start(self, worker_index: int) -> subprocess.Popen[bytes]:
        inherited = map(str, (worker_index, *self._sockets))
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--worker", *inherited],
            pass_fds=self._sockets,
            env={**os.environ, **self._settings, metrics.FOLDER: self._folder},
            # In a new session: Ctrl-C reaches only the supervisor, which passes it on once.
            start_new_session=True,
        )

    def _restart_dead(self) -> None:
        for worker_index, worker in enumerate(self._workers):
            if worker.poll() is not None and not self._stopping:
                events.emit(events.WORKER_ENDED, pid=worker.pid, exit_code=worker.poll())
                metrics.drop_worker(worker_index, self._folder)
                self._workers[worker_index] = self._start(worker_index)

    def _stop(self, sig: int, _: types.FrameType | None) -> None:
        """The first signal ends the loop, which stops every worker; a later one is passed on."""
        if self._stopping:
            self._signal_all(sig)
        self._stopping = True

    def _signal_all(self, sig: int) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(sig)


@contextlib.contextmanager
def _shared_folder() -> Iterator[str]:
    """The folder in which the workers keep their metrics. Raises ServeError."""
    try:
        folder = tempfile.mkdtemp(prefix="gateway-")
    except OSError as error:
        message = f"cannot create a folder for the workers' metrics: {error}; set TMPDIR to another"
        raise ServeError(message) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
