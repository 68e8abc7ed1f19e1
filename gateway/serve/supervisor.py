"""The supervisor of several worker processes, which share two listening sockets."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from gateway.runtime import events, metrics
from gateway.serve.console import KEY, new_key
from gateway.serve.server import ServeError, stop_signals
from gateway.serve.service_manager import ServiceManager
from gateway.serve.shared_folder import shared_folder
from gateway.serve.supervisor_link import WorkerLink
from gateway.serve.supervisor_metrics import SupervisorMetrics

RESTART_INTERVAL = 0.2

FIRST_DELAY = 1.0
MAX_DELAY = 30.0
"""Seconds until a worker that could not start is started again; the delay doubles each time."""


class _WorkerProcess:
    """The process of one worker index, and those that replace it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.link: WorkerLink | None = None
        self.failures = 0
        self.start_at = 0.0
        self._is_killed = False

    def read(self) -> None:
        """Read what the process has reported; one that serves has overcome earlier failures."""
        if self.link:
            self.link.read()
            if self.link.is_ready:
                self.failures = 0

    def is_running(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def silent_turns(self) -> int:
        """For how many turns it has given no sign of life, until it is killed for that."""
        return self.link.silent_turns if self.link and not self._is_killed else 0

    def kill(self) -> None:
        """Kill the process; one that waits for a device may end only later."""
        self._is_killed = True
        if self.process:
            self.process.kill()

    def plan_restart(self) -> float:
        """Decide when to start again; return the delay in seconds."""
        delay = 0.0
        if self.link and not self.link.is_ready:
            delay = min(MAX_DELAY, FIRST_DELAY * 2**self.failures)
            self.failures = min(self.failures + 1, 10)
        self.start_at = time.monotonic() + delay
        if self.link:
            self.link.close()
        self.process = self.link = None
        self._is_killed = False
        return delay


class Supervisor:
    """Starts `count` worker processes on the same two sockets, and replaces those that die.

    `settings` are variables that the workers get besides the environment. A worker that has given
    no sign of life for `hang_timeout` seconds is killed; 0 means never.
    """

    def __init__(
        self,
        listener: socket.socket,
        admin: socket.socket,
        count: int,
        settings: Mapping[str, str] = MappingProxyType({}),
        hang_timeout: float = 0,
    ) -> None:
        self._hang_timeout = hang_timeout
        self._manager = ServiceManager.take(os.environ)
        self._settings = settings
        self._listeners = (listener, admin)
        self._sockets = (listener.fileno(), admin.fileno())
        self._folder = ""
        self._key = new_key()
        self._workers = [_WorkerProcess() for _ in range(count)]
        self._known_failure = ""
        self._stopping = False
        self._was_ready = False

    def run(self) -> None:
        """Run the workers until SIGTERM, SIGHUP or SIGINT; then stop them and wait for their end.

        Raises ServeError.
        """
        for sig in stop_signals():
            signal.signal(sig, self._stop)
        with _shared_folder() as self._folder:
            self._metrics = SupervisorMetrics(self._folder)
            events.subscribe(self._metrics.read)
            while not self._stopping:
                self._replace_ended()
                self._start_due()
                self._kill_hung()
                self._report()
                time.sleep(RESTART_INTERVAL)
            if self._manager:
                self._manager.report_stopping()
            self._signal_all(signal.SIGTERM)
            # Each worker has its own copies; an open copy here would keep new connections waiting.
            for listener in self._listeners:
                listener.close()
            for worker in self._workers:
                if worker.process:
                    worker.process.wait()

    def _start_due(self) -> None:
        for worker_index, worker in enumerate(self._workers):
            is_due = worker.process is None and worker.start_at <= time.monotonic()
            if is_due and not self._stopping:
                worker.link = WorkerLink()
                worker.process = self._start(worker_index, worker.link)

    def _start(self, worker_index: int, link: WorkerLink) -> subprocess.Popen[bytes]:
        descriptors = (*self._sockets, link.inherited)
        inherited = map(str, (worker_index, *descriptors))
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--worker", *inherited],
            pass_fds=descriptors,
            env={**os.environ, **self._settings, metrics.FOLDER: self._folder, KEY: self._key},
            # In a new session: Ctrl-C reaches only the supervisor, which passes it on once.
            start_new_session=True,
        )
        link.close_inherited()
        return process

    def _replace_ended(self) -> None:
        for worker_index, worker in enumerate(self._workers):
            worker.read()
            if worker.process and not worker.is_running() and not self._stopping:
                worker.read()
                self._log_end(worker.process, worker.link)
                worker.plan_restart()
                self._metrics.count_restart()
                metrics.drop_worker(worker_index, self._folder)
                self._refuse_if_none_serves()
        if any(worker.link and worker.link.is_ready for worker in self._workers):
            self._known_failure = ""

    def _kill_hung(self) -> None:
        """Kill the workers that hang; the next turn replaces them."""
        max_turns = self._hang_timeout / RESTART_INTERVAL
        for worker in self._workers if max_turns else ():
            if worker.process and worker.silent_turns() > max_turns:
                pid = worker.process.pid
                events.emit(events.WORKER_HUNG, pid=pid, seconds=self._hang_timeout)
                worker.kill()

    def _report(self) -> None:
        """Tell the service manager that a worker serves, once, and that this process is alive."""
        if self._manager:
            if not self._was_ready and any(one.link and one.link.is_ready for one in self._workers):
                self._was_ready = True
                self._manager.report_ready()
            self._manager.report_alive()

    def _log_end(self, process: subprocess.Popen[bytes], link: WorkerLink | None) -> None:
        """Log that a worker ended; a reason that several workers and attempts have, once."""
        failure = link.failure if link else ""
        if not failure:
            events.emit(events.WORKER_ENDED, pid=process.pid, exit_code=process.poll())
        elif failure != self._known_failure:
            events.emit(events.WORKER_START_FAILED, pid=process.pid, error=failure)
            self._known_failure = failure

    def _refuse_if_none_serves(self) -> None:
        """Refuse connections until a worker listens again, if all workers failed to start.

        Otherwise they would wait for an answer that never comes. Workers that served before are
        replaced at once, and connections wait for their successors.
        """
        if all(worker.process is None and worker.failures for worker in self._workers):
            for listener in self._listeners:
                _stop_listening(listener)

    def _stop(self, sig: int, _: types.FrameType | None) -> None:
        """The first signal ends the loop, which stops every worker; a later one is passed on."""
        if self._stopping:
            self._signal_all(sig)
        self._stopping = True

    def _signal_all(self, sig: int) -> None:
        for worker in self._workers:
            if worker.process:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.send_signal(sig)


def _stop_listening(listener: socket.socket) -> None:
    """Refuse connections to a socket until a process listens on it again.

    Only Linux can do that; elsewhere connections wait.
    """
    address = listener.getsockname()
    with contextlib.suppress(OSError):
        # The shutdown of a socket that does not listen would be inherited by its later connections.
        if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.shutdown(socket.SHUT_RDWR)
            # A port that the kernel chose is lost with that, unless it is asked for by its number.
            listener.bind(address)


@contextlib.contextmanager
def _shared_folder() -> Iterator[str]:
    """The folder of the workers' metrics. Raises ServeError."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(shared_folder())
        except OSError as error:
            message = (
                f"cannot create a folder for the workers' metrics: {error}; set TMPDIR to another"
            )
            raise ServeError(message) from error
        yield folder
