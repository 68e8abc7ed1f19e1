"""Serve a worker in this process with uvicorn: the public port, and the admin port beside it."""

import asyncio
import contextlib
import signal
import socket
import sys
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import uvicorn

from gateway.edge.addresses import Proxies
from gateway.edge.connection import EdgeState
from gateway.edge.protocol import Edge
from gateway.edge.proxy_protocol import edge_behind
from gateway.runtime import memory
from gateway.runtime.errors import OperatorError
from gateway.serve.service_manager import ServiceManager
from gateway.serve.supervisor_link import SupervisorLink
from gateway.serve.worker import Worker
from gateway.settings import Settings

BACKLOG = 2048
FINISH_TIMEOUT = 30
"""Seconds that requests in flight get after the listening socket is closed."""

ADMIN_FINISH_TIMEOUT = 2
FORCED_STOP_TIMEOUT = 5
"""Seconds that the worker's tasks get after a signal that drops the open requests."""


TICKS_PER_SIGN = 10
"""Calls of `on_tick`, 0.1 s apart, from one sign of life to the next."""

Superior: TypeAlias = SupervisorLink | ServiceManager
"""Who is told what a worker does: its supervisor, or systemd if there is no supervisor."""


class ServeError(OperatorError):
    """The gateway cannot start to serve; the text says what to do."""


def stop_signals() -> list[signal.Signals]:
    """The signals that stop a gateway in order.

    SIGHUP, of a terminal that is closed, is one of them unless it is ignored, as by `nohup`.
    """
    signals = [signal.SIGTERM, signal.SIGINT]
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return signals if is_ignored else [*signals, signal.SIGHUP]


class _Server(uvicorn.Server):
    """uvicorn, but on SIGTERM it reports not ready, waits `drain_delay`, and stops accepting."""

    def __init__(
        self,
        config: uvicorn.Config,
        worker: Worker,
        drain_delay: float,
        link: Superior | None,
    ) -> None:
        super().__init__(config)
        self._state = self.server_state = EdgeState()
        self._state.has_help = worker.pipeline.has_help
        self._worker = worker
        self._drain_delay = drain_delay
        self._link = link
        self._loop: asyncio.AbstractEventLoop | None = None
        if isinstance(link, SupervisorLink):
            link.on_gone(self.stop_orphan)

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:  # noqa: ARG002
        """Handle a signal to stop: the second skips the drain delay, the third drops requests.

        The worker shuts down cleanly in each case.
        uvicorn's own handler would raise the signal again at the end; here a clean stop exits 0.
        """
        is_first = not self._worker.health.draining
        self._drain()
        self._state.patient = is_first and sig != signal.SIGINT
        if self.should_exit:
            self.force_exit = True
        elif self._state.patient and self._drain_delay and (loop := self._loop):
            loop.call_soon_threadsafe(loop.call_later, self._drain_delay, self._stop)
        else:
            self._stop()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn: handle the signals for the length of the block; SIGHUP too."""
        before = {sig: signal.signal(sig, self.handle_exit) for sig in stop_signals()}
        try:
            with super().capture_signals():
                yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def stop_orphan(self) -> None:
        """Stop without the delay, since the supervisor is gone; may be called from any thread."""
        self._state.patient = True
        self._drain()
        self._stop()

    def _drain(self) -> None:
        """Report not ready, and have each answer close its connection."""
        self._worker.health.draining = True
        if self._link:
            self._link.report_stopping()
        # Connections belong to the loop; a signal may come in the middle of anything.
        if self._loop:
            self._loop.call_soon_threadsafe(self._state.drain)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn: start the worker and listen; then tell the supervisor or the service manager."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self._link:
            self._link.report_ready()
            # A signal that came during the start is reported after it.
            if self._worker.health.draining:
                self._link.report_stopping()

    async def on_tick(self, counter: int) -> bool:
        """uvicorn: called ten times a second, unless the event loop hangs."""
        if self._link and counter % TICKS_PER_SIGN == 0:
            self._link.report_alive()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the connections, and stop the worker, which uvicorn omits on a forced exit."""
        await super().shutdown(sockets)
        if self.force_exit:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FORCED_STOP_TIMEOUT):
                    await self.lifespan.shutdown()

    def _stop(self) -> None:
        self.should_exit = True


def listen(host: str, port: int, setting: str = "GATEWAY_PORT") -> socket.socket:
    """Open a listening socket; `setting` is the name of its port's setting. Raises ServeError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if host == "::":
        # IPv4 too, whatever the system's default is.
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        listener.bind((host, port))
    except socket.gaierror as error:
        listener.close()
        raise ServeError(f"cannot listen on {host}: {error.strerror}") from error
    except OSError as error:
        listener.close()
        message = f"cannot listen on {host}:{port}: {error.strerror}; choose a port with {setting}"
        raise ServeError(message) from error
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


def listen_admin(settings: Settings) -> socket.socket:
    """Open the listening socket of the admin port. Raises ServeError."""
    return listen(settings.admin_host, settings.admin_port, "GATEWAY_ADMIN_PORT")


def url(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    worker: Worker,
    settings: Settings,
    listener: socket.socket,
    admin: socket.socket | None = None,
    link: Superior | None = None,
) -> None:
    """Serve one worker on a socket, and its admin pages on another, until a signal stops it."""
    public = server(worker, settings, link)
    # Around both: a signal must not end the process while the admin port starts or stops.
    with public.capture_signals():
        async with contextlib.AsyncExitStack() as stack:
            if admin:
                await stack.enter_async_context(beside(worker.admin.app, admin))
            await public.serve(sockets=[listener])


def server(worker: Worker, settings: Settings, link: Superior | None = None) -> uvicorn.Server:
    """The uvicorn server of the public port."""
    protocol: Any = Edge
    if settings.proxy_protocol:
        protocol = edge_behind(Proxies(settings.trusted_proxies))
    config = _config(
        worker.app, FINISH_TIMEOUT, http=protocol, timeout_keep_alive=settings.keep_alive
    )
    return _Server(config, worker, settings.drain_delay, link)


@contextlib.asynccontextmanager
async def beside(app: Any, listener: socket.socket) -> AsyncIterator[None]:  # noqa: ANN401 - ASGI
    """Serve an application on its own socket for the length of the block.

    The admin port starts before the public one and stops after it, so that a stopping worker can
    still be watched.
    """
    config = _config(app, ADMIN_FINISH_TIMEOUT, lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    # Not `serve`, which takes the signals; they are for the server of the public port.
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield
    finally:
        await server.shutdown(sockets=[listener])


def _config(
    app: Any,  # noqa: ANN401 - ASGI
    finish_timeout: int,
    http: Any = Edge,  # noqa: ANN401 - a class, or a function that makes its instances
    **options: Any,  # noqa: ANN401
) -> uvicorn.Config:
    """The configuration of uvicorn, without its logs, proxy headers and server header."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=http,
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=finish_timeout,
        **options,
    )


def run(
    settings: Settings,
    listener: socket.socket,
    admin: socket.socket,
    worker_index: int | None = None,
    link: Superior | None = None,
) -> None:
    """Serve one worker in this process; `worker_index` is its number among several.

    Raises OperatorError if it cannot start; with a link the supervisor gets to know the reason.
    """
    memory.collect_rarely()
    with asyncio.Runner(loop_factory=_uvloop) as runner:
        runner.run(_run(settings, listener, admin, worker_index, link))


async def _run(
    settings: Settings,
    listener: socket.socket,
    admin: socket.socket,
    worker_index: int | None,
    link: Superior | None,
) -> None:
    try:
        worker = Worker(settings, worker_index=worker_index)
    except OperatorError as error:
        if not isinstance(link, SupervisorLink):
            raise
        # The supervisor logs it once for all workers and all attempts.
        link.report_failure(str(error))
        sys.exit(1)
    await serve(worker, settings, listener, admin, link)


def _uvloop() -> asyncio.AbstractEventLoop:
    # Imported here: uvloop does not exist on Windows, where the other commands still run.
    import uvloop  # noqa: PLC0415

    return uvloop.new_event_loop()
