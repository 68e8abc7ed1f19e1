"""Serve with uvicorn: one worker in this process, or a supervisor over several."""

import asyncio
import contextlib
import logging
import signal
import socket
import subprocess
import sys
import time
import types

import uvicorn

from gateway.edge import Edge
from gateway.settings import Settings
from gateway.worker import Worker

BACKLOG = 2048
FINISH_WITHIN = 30
"""Seconds that requests in flight get to finish after the listening socket is closed."""

RESTART_PAUSE = 0.2

_log = logging.getLogger(__name__)


class ServeError(Exception):
    """The gateway cannot be served; the text says what to do."""


class _Server(uvicorn.Server):
    """uvicorn, which on SIGTERM first says not ready, then waits, then stops accepting."""

    def __init__(self, config: uvicorn.Config, worker: Worker, drain_delay: float) -> None:
        super().__init__(config)
        self._worker = worker
        self._drain_delay = drain_delay

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:  # noqa: ARG002
        """Called on SIGTERM and SIGINT. A second signal does not wait, a third does not finish.

        uvicorn's own would raise the signal again at the end; a clean stop exits 0 here.
        """
        first = not self._worker.health.draining
        self._worker.health.draining = True
        if self.should_exit:
            self.force_exit = True
        elif first and sig == signal.SIGTERM and self._drain_delay:
            loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(loop.call_later, self._drain_delay, self._stop)
        else:
            self._stop()

    def _stop(self) -> None:
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ServeError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        message = f"cannot listen on {host}:{port}: {error.strerror}; GATEWAY_PORT chooses another"
        raise ServeError(message) from error
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


def url(listener: socket.socket) -> str:
    """The address of a listening socket, for people."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(worker: Worker, settings: Settings, listener: socket.socket) -> None:
    """Serve one worker on a socket until it is told to stop."""
    await server(worker, settings).serve(sockets=[listener])


def server(worker: Worker, settings: Settings) -> uvicorn.Server:
    """A uvicorn server. Its own logs, proxy headers and server header are off."""
    config = uvicorn.Config(
        worker.app,
        loop="uvloop",
        http=Edge,
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=FINISH_WITHIN,
    )
    return _Server(config, worker, settings.drain_delay)


def run(settings: Settings, listener: socket.socket) -> None:
    """Serve one worker in this process."""
    with asyncio.Runner(loop_factory=_uvloop) as runner:
        runner.run(_run(settings, listener))


async def _run(settings: Settings, listener: socket.socket) -> None:
    await serve(Worker(settings), settings, listener)


def _uvloop() -> asyncio.AbstractEventLoop:
    # Imported late: uvloop does not exist on Windows, where the other commands may still run.
    import uvloop  # noqa: PLC0415

    return uvloop.new_event_loop()


class Supervisor:
    """Starts `count` worker processes on one socket, and starts anew those that die."""

    def __init__(self, listener: socket.socket, count: int) -> None:
        self._listener = listener
        self._count = count
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stopping = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then stop the workers and wait for them."""
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._stop)
        for _ in range(self._count):
            self._workers.append(self._start())
        while not self._stopping:
            time.sleep(RESTART_PAUSE)
            self._restart_dead()
        self._tell_all(signal.SIGTERM)
        # The workers have the socket as their own; ours would keep callers waiting in its queue.
        self._listener.close()
        for worker in self._workers:
            worker.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        descriptor = self._listener.fileno()
        command = [sys.executable, "-m", "gateway", "serve", "--socket", str(descriptor)]
        # A session of its own: Ctrl-C is for the supervisor, which passes it on once.
        return subprocess.Popen(command, pass_fds=[descriptor], start_new_session=True)

    def _restart_dead(self) -> None:
        for place, worker in enumerate(self._workers):
            if worker.poll() is not None and not self._stopping:
                _log.error("worker %d ended with %s, starting another", worker.pid, worker.poll())
                self._workers[place] = self._start()

    def _stop(self, sig: int, _: types.FrameType | None) -> None:
        """The first signal ends the loop, which stops every worker; a later one is passed on."""
        if self._stopping:
            self._tell_all(sig)
        self._stopping = True

    def _tell_all(self, sig: int) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(sig)
