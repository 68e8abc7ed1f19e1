"""The live part of a page, sent again and again as server-sent events (WHATWG HTML, 9.2).

One reader of a worker renews the state for all streams. The forms of a live part belong to a
session, so a part is rendered for each session that looks at it. A stream ends when the worker
stops, since the server waits for open answers.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from gateway.monitoring.state import State
from gateway.pages.console.access import Operator
from gateway.pages.console.console import Console
from gateway.pages.render import render

MAX_STREAMS = 20
MAX_WAIT = 5.0
"""Seconds without a new state, as when the database hangs, until a stream looks by itself."""

STOP_CHECK = 0.25
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

Live: TypeAlias = Callable[[State, Mapping[str, str]], Mapping[str, Any]]


class Streams:
    """The open streams of one worker, and the token hashes of the operators behind them.

    `parts` are the live parts by the names of their pages.
    """

    def __init__(self, parts: Mapping[str, Live]) -> None:
        self._parts = parts
        self._open: Counter[bytes] = Counter()
        self._ended: set[bytes] = set()
        self._state: State | None = None
        self._rendered: dict[tuple[str, str, bool], str] = {}

    def held(self) -> list[bytes]:
        """The token hashes of the operators who watch."""
        return [*self._open]

    def drop(self, digests: set[bytes]) -> None:
        """End the streams of these operators: their sessions are over."""
        self._ended |= digests & {*self._open}

    async def open(self, console: Console, request: Request, operator: Operator) -> Response:
        """Stream the live part that `?page=` names; the other fields are those of the page."""
        name = request.query_params.get("page", "")
        if name not in self._parts:
            return PlainTextResponse("Unknown live part.", 404)
        if self._open.total() >= MAX_STREAMS:
            answer = {"retry-after": "30"}
            return PlainTextResponse("Too many consoles are open.", 503, headers=answer)
        return StreamingResponse(
            self._messages(console, request, operator, name),
            media_type="text/event-stream",
            headers=HEADERS,
        )

    async def _messages(
        self, console: Console, request: Request, operator: Operator, name: str
    ) -> AsyncIterator[str]:
        digest = operator.digest
        self._open[digest] += 1
        try:
            while not console.is_stopping() and digest not in self._ended:
                state = await console.watcher.look()
                yield _message(await self._part(console, request, operator, name, state))
                await _next_state(console)
            if digest in self._ended:
                # The script loads the page again, which leads to the form that signs in.
                yield "event: signed-out\ndata: \n\n"
        finally:
            self._open[digest] -= 1
            if not self._open[digest]:
                del self._open[digest]
                self._ended.discard(digest)

    async def _part(
        self, console: Console, request: Request, operator: Operator, name: str, state: State
    ) -> str:
        """The text of a live part of a state; rendered once for all windows of a session."""
        if state is not self._state:
            self._state, self._rendered = state, {}
        rendered = self._rendered
        key = request.url.query, operator.form_token, operator.may_act
        if key not in rendered:
            values = {**console.common(state, operator), "streamed": True}
            part = self._parts[name](state, dict(request.query_params))
            rendered[key] = await run_in_threadpool(
                render, f"console/{name}_live.html", **values, **part
            )
        return rendered[key]


def _message(text: str) -> str:
    return "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"


async def _next_state(console: Console) -> None:
    """Wait for the next state, or until the worker stops."""
    waiting = asyncio.ensure_future(console.watcher.wait())
    deadline = asyncio.get_running_loop().time() + MAX_WAIT
    try:
        while not (waiting.done() or console.is_stopping()):
            await asyncio.wait({waiting}, timeout=STOP_CHECK)
            if asyncio.get_running_loop().time() > deadline:
                return
    finally:
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
