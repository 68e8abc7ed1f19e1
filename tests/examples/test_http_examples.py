"""The services of `examples/`, in Node and in Python, behind a gateway.

`make test-examples` installs what they need and runs this.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import orjson
import pytest
from support.harness import ROOT, Client, serving, until
from support.manifests import applied
from support.upstreams import SECRET, VARIABLE

from gateway.manifest.check import Desired, check

FOLDER = ROOT / "examples" / "tours"
PYTHON = os.environ.get("GATEWAY_TEST_EXAMPLES_PYTHON", sys.executable)
PROGRAMS = {"node": ["node", "server.js"], "python": [PYTHON, "server.py"]}
BOOK = "/api/v1/tours/book"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def desired(port: int) -> Desired:
    [state] = check(FOLDER / "routes.yaml")
    state.services["tours"]["endpoints"] = [f"http://127.0.0.1:{port}"]
    # The demo's own namespace has declared this application.
    state.applications.clear()
    return state


@pytest.fixture(params=PROGRAMS)
async def program(request: pytest.FixtureRequest) -> AsyncIterator[int]:
    """The port of a running example."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *PROGRAMS[request.param],
        cwd=FOLDER / request.param,
        env={**os.environ, VARIABLE: SECRET, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield port
    process.terminate()
    await process.wait()


@pytest.fixture
async def client(
    database: str, tokens: dict[str, str], program: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    monkeypatch.setenv(VARIABLE, SECRET)
    await applied(database, desired(program))
    async with serving(database, tokens) as client:
        await until(lambda: _accepts(program), seconds=30)
        yield client


def _accepts(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


async def book(client: Client, city: str) -> Any:
    headers = {"authorization": f"Bearer {client.tokens['employee']}", "idempotency-key": city}
    # Until the health check has seen that the program has started.
    for _ in range(100):
        answer = await client.post(BOOK, {"city": city}, headers=headers)
        if answer.status_code != 503:
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(answer.text)


async def test_example_books_tours_and_refuses_as_its_route_documents(client: Client) -> None:
    assert (await book(client, "Denver")).json()["data"] == {
        "city": "Denver",
        "left": 1,
        "booked_by": 1,
    }
    unknown = (await book(client, "Boulder")).json()
    assert (unknown["status"], unknown["code"]) == ("invalid-param", 400)
    assert unknown["errors"] == [{"attr": "city", "message": "has no tour"}]
    assert (await book(client, "Denver")).json()["data"]["left"] == 0
    full = (await book(client, "Denver")).json()
    assert (full["status"], full["code"]) == ("tour-full", 409)


async def test_example_refuses_a_call_that_the_gateway_did_not_sign(
    client: Client, program: int
) -> None:
    assert (await book(client, "Boulder")).status_code == 400
    headers = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    body = orjson.dumps({"params": {"city": "Denver"}, "caller": {"user_id": 1}})
    async with httpx2.AsyncClient() as http:
        for sent in ({}, headers):
            response = await http.post(
                f"http://127.0.0.1:{program}/tours/book",
                content=body,
                headers={"content-type": "application/json", **sent},
            )
            assert response.status_code == 401
    assert (await book(client, "Denver")).json()["data"]["left"] == 1


@pytest.mark.parametrize("file", ["node/server.js", "python/server.py"])
def test_example_is_short(file: str) -> None:
    lines = (FOLDER / file).read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 35
