"""The code on the documentation's pages, pasted as a reader does, against a gateway on a socket."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import orjson
import pytest
from support.harness import settings
from support.servers import listening

from gateway.pages.documentation.examples import example
from gateway.pages.documentation.snippets import snippets
from gateway.serve import server
from gateway.serve.worker import Worker

ROUTES = ["order_stages.create", "sessions.create", "statuses.index", "sessions.read"]
PROGRAMS = {"curl": ["bash", "-c"], "Python": [sys.executable, "-c"]}


@pytest.fixture
async def gateway(database: str) -> AsyncIterator[tuple[Worker, str]]:
    """A worker with the demo's data, and its address."""
    given = settings(database)
    worker = Worker(given)
    async with listening(server.server(worker, given)) as listener:
        yield worker, server.url(listener)


@pytest.mark.parametrize("title", PROGRAMS)
@pytest.mark.parametrize("name", ROUTES)
async def test_pasted_code_gets_a_success(
    gateway: tuple[Worker, str], tokens: dict[str, str], name: str, title: str
) -> None:
    worker, url = gateway
    assert worker.registry.current
    call = example(worker.registry.current.routes[name])
    [snippet] = [s for s in snippets(call, url) if s.title == title]
    environment = {**os.environ, "TOKEN": tokens["employee"]}
    command = [*PROGRAMS[title], snippet.code]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.replace("'", '"') if title == "Python" else done.stdout
    assert "err" not in printed.partition(",")[0]
    assert '"code": 40' not in printed
    assert title == "Python" or orjson.loads(printed)
