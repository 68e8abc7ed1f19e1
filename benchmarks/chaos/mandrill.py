"""The stand-in for Mandrill as a receiver that may be stopped, failing or silent."""

import asyncio
import contextlib
import re
from collections import Counter
from typing import Any

from starlette.responses import PlainTextResponse

from chaos.plan import Step
from gateway.dev.mandrill import API, StandIn
from gateway.serve import server

_MESSAGE = re.compile(rb'"outbox":\s*"outbox-(\d+)"')


class Mandrill:
    """Counts the messages that it accepts in `arrivals`, by their id in the outbox."""

    def __init__(self, arrivals: Counter[int], host: str = "127.0.0.1") -> None:
        self._arrivals = arrivals
        self._host = host
        self._stand_in = StandIn()
        self._port = 0
        self._serving = contextlib.AsyncExitStack()
        self._is_failing = False
        self._answers = asyncio.Event()
        self._answers.set()

    @property
    def url(self) -> str:
        """The URL for the setting `mandrill_url`."""
        return f"http://{self._host}:{self._port}{API}"

    async def start(self) -> None:
        """Listen, on the same port as before."""
        listener = server.listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._serving.callback(listener.close)
        await self._serving.enter_async_context(server.beside(self, listener))

    async def stop(self) -> None:
        """Refuse connections."""
        await self._serving.aclose()

    async def stop_for(self, step: Step) -> None:
        """Refuse connections for a while."""
        await self.stop()
        await asyncio.sleep(step.seconds)
        await self.start()

    async def fail_for(self, step: Step) -> None:
        """Answer 500 for a while."""
        self._is_failing = True
        await asyncio.sleep(step.seconds)
        self._is_failing = False

    async def stay_silent_for(self, step: Step) -> None:
        """Answer no message for a while, and all of them afterwards."""
        self._answers.clear()
        await asyncio.sleep(step.seconds)
        self._answers.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Accept a message and count it, unless a fault prevents that."""
        await self._answers.wait()
        if self._is_failing:
            await PlainTextResponse("failing", 500)(scope, receive, send)
            return
        code, content = 0, await _read_body(receive)

        async def receive_again() -> Any:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send_and_look(event: Any) -> None:
            nonlocal code
            code = event.get("status", code)
            await send(event)

        # A sender that gave up may have sent only a part of its message.
        if match := _MESSAGE.search(content):
            await self._stand_in.app(scope, receive_again, send_and_look)
            if code == 200:
                self._arrivals[int(match[1])] += 1


async def _read_body(receive: Any) -> bytes:
    """The body of a request, or what came of it before the client left."""
    content, has_more = b"", True
    while has_more:
        event = await receive()
        content += event.get("body", b"")
        has_more = event.get("more_body", False)
    return content
