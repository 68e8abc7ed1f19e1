"""The live parts of the console: what streams send, when they end, and what they cost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest
from support.console import CONSOLE, NOTIFICATION, Console
from support.harness import Client, execute, until

from gateway.pages.console import stream as streams
from gateway.serve import server


@asynccontextmanager
async def watching(client: Client) -> AsyncIterator[Console]:
    """A browser that is signed in to the admin port of a worker, over a socket."""
    listener = server.listen("127.0.0.1", 0)
    async with (
        server.beside(client.worker.admin.app, listener),
        httpx2.AsyncClient(base_url=server.url(listener), timeout=20) as http,
    ):
        console = Console(http)
        assert (await console.sign_in()).status_code == 303
        yield console


class Stream:
    """One open stream: its messages, as they come."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def message(self) -> str:
        """The next message; empty if the stream has ended."""
        lines: list[str] = []
        async for line in self._lines:
            if not line:
                return "\n".join(lines)
            lines.append(line)
        return ""

    async def until(self, text: str) -> str:
        """The first message with a text."""
        async with asyncio.timeout(20):
            while text not in (message := await self.message()):
                assert message, "the stream has ended"
        return message


@asynccontextmanager
async def streaming(console: Console, page: str) -> AsyncIterator[Stream]:
    async with console.http.stream("GET", f"{CONSOLE}/events?page={page}") as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


async def test_stream_shows_a_new_notification_and_that_it_is_over(client: Client) -> None:
    async with watching(client) as console, streaming(console, "overview") as overview:
        assert "All is well" in await overview.message()
        await execute(client.database_url, NOTIFICATION)
        message = await overview.until("A service crashes")
        assert 'id="open-count"' in message
        await execute(client.database_url, "update gateway.notifications set resolved_at = now()")
        await overview.until("All is well")


async def test_stream_of_notifications_has_the_filters_of_its_page(client: Client) -> None:
    await execute(client.database_url, NOTIFICATION)
    async with watching(client) as console:
        async with streaming(console, "notifications&q=nothing") as stream:
            assert "No notification matches." in await stream.message()
        async with streaming(console, "notifications&q=KeyError") as stream:
            assert "KeyError at a.py:1" in await stream.message()


async def test_stream_ends_when_the_session_does(client: Client) -> None:
    async with watching(client) as console, streaming(console, "workers") as stream:
        await stream.message()
        await execute(client.database_url, "update gateway.sessions set revoked_at = now()")
        await stream.until("signed-out")
        assert await stream.message() == ""


async def test_stream_ends_when_the_worker_stops(client: Client) -> None:
    async with watching(client) as console, streaming(console, "overview") as stream:
        await stream.message()
        client.worker.health.draining = True
        async with asyncio.timeout(5):
            while await stream.message():
                pass


async def test_streams_are_limited(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_STREAMS", 1)
    async with watching(client) as console:
        async with streaming(console, "overview"):
            refused = await console.get("/events?page=overview")
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
        await until(lambda: not client.worker.console.streams.held())
        async with streaming(console, "overview"):
            pass


async def test_stream_of_an_unknown_part_is_refused(client: Client) -> None:
    async with watching(client) as console:
        assert (await console.get("/events?page=nothing")).status_code == 404


async def test_twenty_streams_cost_the_database_as_much_as_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = 0
    watcher = client.worker.console.watcher
    renew = watcher._renew

    async def counting() -> None:
        nonlocal queries
        queries += 1
        await renew()

    monkeypatch.setattr(watcher, "_renew", counting)
    async with watching(client) as console, AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(streaming(console, "overview")) for _ in range(20)
        ]
        for one in opened:
            await one.message()
        before = queries
        for one in opened:
            await one.message()
            await one.message()
        # Each has had two new states; they came from the same few queries.
        assert queries - before <= 4
