"""The code on the documentation's pages, pasted as a reader does, against a gateway on a socket."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx2
import pytest
from support.harness import settings
from support.html import Page
from support.servers import listening

from gateway.serve import server
from gateway.serve.worker import Worker

PAGES = [
    "/api/v1/order_stages/create",
    "/api/v1/sessions/create",
    "/api/v1/sessions/read",
    "/services/statuses?method=GET",
    "/services/statuses/%7Bid%3Aint%7D?method=GET",
]
PROGRAMS = {"curl": ["bash", "-c"], "Python": [sys.executable, "-c"]}


@pytest.fixture
async def url(database: str) -> AsyncIterator[str]:
    """The address of a gateway with the demo's data."""
    given = settings(database)
    async with listening(server.server(Worker(given), given)) as listener:
        yield server.url(listener)


async def code_of(url: str, path: str, title: str) -> str:
    """The code under a title on the page of a route."""
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"{url}/documentation{path}")
    assert answer.status_code == 200
    [code] = [
        details.all("code")[0].raw
        for details in Page(answer.text).root.all("details")
        if details.all("summary")[0].text == title
    ]
    return code


@pytest.mark.parametrize("title", PROGRAMS)
@pytest.mark.parametrize("path", PAGES)
async def test_pasted_code_gets_a_success(
    url: str, tokens: dict[str, str], path: str, title: str
) -> None:
    command = [*PROGRAMS[title], await code_of(url, path, title)]
    environment = {**os.environ, "TOKEN": tokens["employee"]}
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    # Python prints an object in its own way; both begin with the status of an envelope or a list.
    answer = done.stdout.replace("'", '"').replace(" ", "")
    assert answer.startswith(('{"code":200,', '{"statuses":[', '{"status":{'))
