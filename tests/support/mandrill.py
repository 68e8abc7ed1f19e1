"""The stand-in for Mandrill, and a server that sends any reply, on real sockets."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import uvloop
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.dev.mandrill import API, SLOW_DELAY, StandIn
from gateway.outbox.mandrill import Mandrill
from gateway.outbox.transport import Message
from gateway.serve import server

KEY = "a-key-that-must-stay-secret"
CONTENT = "content that must stay secret"


def message(email: str = "client@example.com", **changes: Any) -> Message:
    default = Message("order-stage-changed", email, "Ben Stone", {"note": CONTENT})
    return default._replace(**changes)


class RecordingServer:
    """Answers every request with `reply`, and records the bodies and the headers."""

    def __init__(self) -> None:
        self.reply = Response()
        self.bodies: list[bytes] = []
        self.headers: list[Headers] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["POST", "GET"])])

    async def _answer(self, request: Request) -> Response:
        self.headers.append(request.headers)
        self.bodies.append(await request.body())
        return self.reply


@contextlib.contextmanager
def served_in_thread(app: Any, port: int = 0) -> Iterator[str]:
    """Serve an application in another thread, by default on a free port; yields its address."""
    listener = server.listen("127.0.0.1", port)
    started, stop, loops = threading.Event(), asyncio.Event(), []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with server.beside(app, listener):
            started.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    try:
        yield server.url(listener)
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)
        assert not thread.is_alive()


@contextlib.contextmanager
def running_stand_in(slow: float = SLOW_DELAY) -> Iterator[tuple[StandIn, str]]:
    """A stand-in and the address of its page; `mandrill_url` is `address + API`."""
    stand_in = StandIn(slow)
    with served_in_thread(stand_in.app) as address:
        yield stand_in, address


@contextlib.contextmanager
def mandrill_client(address: str, key: str = KEY, **options: Any) -> Iterator[Mandrill]:
    """A client of the stand-in, or of another server, at an address."""
    client = Mandrill(key, address + API, **options)
    try:
        yield client
    finally:
        client.close()
