"""The stand-in for Mandrill, and one that says anything, on real sockets."""

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

from gateway.dev.mandrill import API, SLOW, StandIn
from gateway.outbox.mandrill import Mandrill
from gateway.outbox.transport import Message
from gateway.serve import server

KEY = "a-key-that-nobody-may-see"
CONTENT = "content that nobody may see"


def message(email: str = "client@example.com", **changes: Any) -> Message:
    made = Message("order-stage-changed", email, "Ben Stone", {"note": CONTENT})
    return made._replace(**changes)


class Anything:
    """Answers every request with `reply`, and keeps the bodies and the heads."""

    def __init__(self) -> None:
        self.reply = Response()
        self.bodies: list[bytes] = []
        self.heads: list[Headers] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["POST", "GET"])])

    async def _answer(self, request: Request) -> Response:
        self.heads.append(request.headers)
        self.bodies.append(await request.body())
        return self.reply


@contextlib.contextmanager
def on_a_socket(app: Any) -> Iterator[str]:
    """Serve an application from a thread of its own, on a free port; answer its address."""
    listener = server.listen("127.0.0.1", 0)
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
def standing_in(slow: float = SLOW) -> Iterator[tuple[StandIn, str]]:
    """A stand-in, and the address of its page; `address + API` is the setting."""
    made = StandIn(slow)
    with on_a_socket(made.app) as address:
        yield made, address


@contextlib.contextmanager
def mailing(address: str, key: str = KEY, **options: Any) -> Iterator[Mandrill]:
    """A client of what is served at an address."""
    made = Mandrill(key, address + API, **options)
    try:
        yield made
    finally:
        made.close()
