"""Databases of a real server, and a client of a worker in this process."""

import asyncio
import contextlib
import functools
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import jsonschema_rs
import pytest

from gateway.database.connect import Connection, connect
from gateway.database.pool import Pool
from gateway.runtime.app_folder import AppFolder
from gateway.runtime.events import Event
from gateway.serve.worker import Worker
from gateway.settings import Settings
from gateway.upstreams.batch import BatchedAction
from gateway.upstreams.python import Actions

ROOT = Path(__file__).parents[2]
IMPORT_PATH = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
"""`PYTHONPATH` of a program that a test starts: the gateway and this package."""

# Compiled once: nearly every test of a flow validates answers.
ENVELOPE = jsonschema_rs.validator_for((ROOT / "gateway/schemas/envelope.json").read_text())


async def on(url: str, work: Callable[[Connection], Awaitable[Any]]) -> Any:
    """Run some work on a new connection."""
    connection = await connect(url)
    try:
        return await work(connection)
    finally:
        await connection.close()


async def execute(url: str, sql: str, *args: object) -> Any:
    """Run a statement on a new connection; return all its rows."""
    return await on(url, lambda db: db.fetch(sql, *args))


@asynccontextmanager
async def connection_of(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of a pool for the length of the block."""
    connection = await pool.acquire()
    try:
        yield connection
    finally:
        pool.release(connection)


def batched_action(client: "Client", name: str) -> BatchedAction:
    """A batched action of the client's worker, with its queue."""
    action = client.worker.pipeline.actions.python[name]
    assert isinstance(action, BatchedAction)
    return action


def logged(caplog: pytest.LogCaptureFixture, event: Event) -> list[dict[str, Any]]:
    """The fields of each occurrence of an event in the log."""
    return [
        vars(record)["fields"]
        for record in caplog.records
        if vars(record).get("event") == event.name
    ]


async def until(holds: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, "the condition did not hold in time"
        await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server; `admin` is the address of any of its databases."""

    admin: str

    def url(self, database: str) -> str:
        return urlunsplit(urlsplit(self.admin)._replace(path=f"/{database}"))

    async def create(self, database: str, template: str) -> str:
        await execute(self.admin, f'create database "{database}" template "{template}"')
        return self.url(database)

    async def drop(self, database: str) -> None:
        await execute(self.admin, f'drop database if exists "{database}" with (force)')


def settings(database_url: str, **changes: str) -> Settings:
    changes = {"data_dir": "/nonexistent", "check_returns": "all", **changes}
    environment = {f"GATEWAY_{name.upper()}": value for name, value in changes.items()}
    return Settings.load({"GATEWAY_DATABASE_URL": database_url, **environment})


class Client:
    """Sends requests to a worker in this process, and validates the envelope of every answer."""

    def __init__(
        self, worker: Worker, http: httpx2.AsyncClient, tokens: dict[str, str], database_url: str
    ) -> None:
        self.worker = worker
        self.database_url = database_url
        self.tokens = tokens
        self._http = http

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        # Without a socket a call may never wait; in a loop it would starve the other tasks.
        await asyncio.sleep(0)
        response = await self._http.request(method, path, **options)
        if response.content and not path.startswith("/services"):
            ENVELOPE.validate(response.json())
            assert response.json()["code"] == response.status_code
        assert "x-request-id" in response.headers
        return response

    async def get_page(self, path: str, **headers: str) -> httpx2.Response:
        """GET one of the gateway's own pages, which has no envelope; `etag="…"` is a header."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._http.get(path, headers=names)

    async def post(self, path: str, params: object = None, **options: Any) -> httpx2.Response:
        """POST params as JSON."""
        body = {} if params is None else {"json": params}
        return await self.request("POST", path, **body, **options)

    async def create_stage(self, *, caller: str = "employee", **params: Any) -> httpx2.Response:
        """Call order_stages.create with its required params and `params`; `...` leaves one out."""
        required = {"token": self.tokens[caller], "update_status": True, "stage": "scheduled"}
        all_params = {**required, **params}
        return await self.post(
            "/api/v1/order_stages/create",
            {name: value for name, value in all_params.items() if value is not ...},
        )


@functools.cache
def _actions(_working_directory: Path, app: str) -> Actions:
    """The actions of an application folder, imported once: the search takes as long as a test."""
    return Actions.load(AppFolder.find(app))


@asynccontextmanager
async def serving(
    database_url: str, tokens: dict[str, str], *, actions: Actions | None = None, **changes: str
) -> AsyncIterator[Client]:
    """A client of a worker that serves this database with a temporary data folder."""
    with tempfile.TemporaryDirectory() as folder:
        given = settings(database_url, **{"data_dir": folder, **changes})
        worker = Worker(given, actions or _actions(Path.cwd(), given.app))
        transport = httpx2.ASGITransport(worker.app, raise_app_exceptions=True)
        async with (
            worker.running(),
            httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http,
        ):
            await _wait_until_healthy(worker)
            yield Client(worker, http, tokens, database_url)


async def _wait_until_healthy(worker: Worker) -> None:
    """Wait a while, since a server that many tests share may be slower than a worker allows."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            # What is confirmed in the moment that listening begins is not remembered.
            while worker.health.problems or worker.identity.store.cache.listening_since < 0:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
