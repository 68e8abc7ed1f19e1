"""The HTTP client under uvloop, the loop of `gateway serve`."""

import asyncio
from typing import Any

import uvloop
from support.upstreams import running, says
from yarl import URL

from gateway.runtime.http_client import HttpClient, HttpRequest


def test_client_passes_no_socket_to_the_loop() -> None:
    """uvloop closes a socket that it was given twice if the request is cancelled while it connects.

    The second time its descriptor may be that of another connection (uvloop's issue 738).
    """
    seen: list[dict[str, Any]] = []

    class Loop(uvloop.Loop):
        async def create_connection(self, *args: Any, **options: Any) -> Any:
            seen.append(options)
            return await super().create_connection(*args, **options)

    async def send() -> None:
        client = HttpClient()
        async with running(says(1)) as [service]:
            deadline = asyncio.get_running_loop().time() + 10
            request = HttpRequest("GET", URL(service.url), {}, max_answer=100)
            assert (await client.send(request, deadline)).body == b'{"data":1}'
            await client.close()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(send())
    assert len(seen) == 1
    assert not any("sock" in options for options in seen)
