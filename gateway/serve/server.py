"""Serve with uvicorn: one worker in this process, or a supervisor over several."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn

from gateway.edge.protocol import Edge
from gateway.runtime import metrics
from gateway.serve.worker import Worker
from gateway.settings import Settings

BACKLOG = 2048
FINISH_TIMEOUT = 30
"""Seconds that requests in flight get to finish after the listening socket is closed."""

ADMIN_FINISH_TIMEOUT = 2
RESTART_INTERVAL = 0.2

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


def listen(host: str, port: int, variable: str = "GATEWAY_PORT") -> socket.socket:
    """A listening socket; `variable` is the setting of its port. Raises ServeError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except socket.gaierror as error:
        listener.close()
        message = f"{host} is no address to listen on: {error.strerror}"
        raise ServeError(message) from error
    except OSError as error:
        listener.close()
        message = f"cannot listen on {host}:{port}: {error.strerror}; {variable} chooses another"
        raise ServeError(message) from error
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


def listen_admin(settings: Settings) -> socket.socket:
    """The listening socket of the admin port. Raises ServeError."""
    return listen(settings.admin_host, settings.admin_port, "GATEWAY_ADMIN_PORT")


def url(listener: socket.socket) -> str:
    """The address of a listening socket, for people."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    worker: Worker, settings: Settings, listener: socket.socket, admin: socket.socket | None = None
) -> None:
    """Serve one worker on a socket, and its admin pages on another, until it is told to stop."""
    public = server(worker, settings)
    # Around both: a signal must not end the process while the admin port starts or stops.
    with public.capture_signals():
        async with contextlib.AsyncExitStack() as around:
            if admin:
                await around.enter_async_context(beside(worker.admin.app, admin))
            await public.serve(sockets=[listener])


def server(worker: Worker, settings: Settings) -> uvicorn.Server:
    """The uvicorn server of the public port."""
    return _Server(_config(worker.app, FINISH_TIMEOUT), worker, settings.drain_delay)


@contextlib.asynccontextmanager
async def beside(app: Any, listener: socket.socket) -> AsyncIterator[None]:  # noqa: ANN401 - ASGI
    """Serve an application on a socket of its own, for the length of the block.

    Around the public port this lets one watch a worker stop.
    """
    config = _config(app, ADMIN_FINISH_TIMEOUT, lifespan="off")
    config.load()
    other = uvicorn.Server(config)
    # Not `serve`, which takes the signals; they are for the server of the public port.
    other.lifespan = config.lifespan_class(config)
    await other.startup(sockets=[listener])
    try:
        yield
    finally:
        await other.shutdown(sockets=[listener])


def _config(app: Any, finish_within: int, **more: Any) -> uvicorn.Config:  # noqa: ANN401 - ASGI
    """How uvicorn serves. Its own logs, proxy headers and server header are off."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Edge,
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=finish_within,
        **more,
    )


def run(
    settings: Settings, listener: socket.socket, admin: socket.socket, place: int | None = None
) -> None:
    """Serve one worker in this process; `place` is its number among several."""
    with asyncio.Runner(loop_factory=_uvloop) as runner:
        runner.run(_run(settings, listener, admin, place))


async def _run(
    settings: Settings, listener: socket.socket, admin: socket.socket, place: int | None
) -> None:
    await serve(Worker(settings, place=place), settings, listener, admin)


def _uvloop() -> asyncio.AbstractEventLoop:
    # Imported late: uvloop does not exist on Windows, where the other commands may still run.
    import uvloop  # noqa: PLC0415

    return uvloop.new_event_loop()


class Supervisor:
    """Starts `count` worker processes on the same two sockets, and starts anew those that die."""

    def __init__(self, listener: socket.socket, admin: socket.socket, count: int) -> None:
        self._listeners = (listener, admin)
        self._sockets = (listener.fileno(), admin.fileno())
        self._count = count
        self._folder = ""
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stopping = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then stop the workers and wait for them."""
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._stop)
        with _shared_folder() as self._folder:
            for place in range(self._count):
                self._workers.append(self._start(place))
            while not self._stopping:
                time.sleep(RESTART_INTERVAL)
                self._restart_dead()
            self._tell_all(signal.SIGTERM)
            # The workers have sockets of their own; ours would keep callers waiting in a queue.
            for listener in self._listeners:
                listener.close()
            for worker in self._workers:
                worker.wait()

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        inherited = map(str, (place, *self._sockets))
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--worker", *inherited],
            pass_fds=self._sockets,
            env={**os.environ, metrics.FOLDER: self._folder},
            # A session of its own: Ctrl-C is for the supervisor, which passes it on once.
            start_new_session=True,
        )

    def _restart_dead(self) -> None:
        for place, worker in enumerate(self._workers):
            if worker.poll() is not None and not self._stopping:
                _log.error("worker %d ended with %s, starting another", worker.pid, worker.poll())
                metrics.forget(place, self._folder)
                self._workers[place] = self._start(place)

    def _stop(self, sig: int, _: types.FrameType | None) -> None:
        """The first signal ends the loop, which stops every worker; a later one is passed on."""
        if self._stopping:
            self._tell_all(sig)
        self._stopping = True

    def _tell_all(self, sig: int) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(sig)


@contextlib.contextmanager
def _shared_folder() -> Iterator[str]:
    """Where workers count together, for the length of the block. Raises ServeError."""
    try:
        folder = tempfile.mkdtemp(prefix="gateway-")
    except OSError as error:
        message = f"several workers count in a temporary folder: {error}; TMPDIR names a place"
        raise ServeError(message) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
