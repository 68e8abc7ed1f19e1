"""A real PostgreSQL for all tests: one cluster a run, one database a test, made from a template."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import jsonschema
import orjson
import pytest

from gateway.actions import Actions
from gateway.database.migrate import find_all, migrate
from gateway.database.pool import Connection, connect
from gateway.dev import demo
from gateway.embedded import Cluster
from gateway.manifest.apply import apply
from gateway.manifest.check import check
from gateway.settings import Settings
from gateway.worker import Worker

ROOT = Path(__file__).parents[1]
ENVELOPE = orjson.loads((ROOT / "schemas" / "envelope.json").read_bytes())
TEMPLATE = "gateway_test_template"


async def on(url: str, work: Callable[[Connection], Awaitable[Any]]) -> Any:
    """Some work on a connection of its own."""
    connection = await connect(url)
    try:
        return await work(connection)
    finally:
        await connection.close()


async def execute(url: str, sql: str, *args: object) -> Any:
    """All rows of a statement, on a connection of its own."""
    return await on(url, lambda db: db.fetch(sql, *args))


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server, by the address of any of its databases."""

    admin: str

    def url(self, database: str) -> str:
        return urlunsplit(urlsplit(self.admin)._replace(path=f"/{database}"))

    async def create(self, database: str, template: str) -> str:
        await execute(self.admin, f'create database "{database}" template "{template}"')
        return self.url(database)

    async def drop(self, database: str) -> None:
        await execute(self.admin, f'drop database if exists "{database}" with (force)')


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`GATEWAY_TEST_DATABASE_URL`, or an embedded server for the run."""
    given = os.environ.get("GATEWAY_TEST_DATABASE_URL")
    if given:
        yield Server(given)
        return
    fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    folder = tmp_path_factory.mktemp("postgres")
    with Cluster(folder, options={**fast, "max_connections": "200"}) as cluster:
        yield Server(cluster.url("postgres"))


@pytest.fixture(scope="session")
def tokens(postgres: Server) -> Iterator[dict[str, str]]:
    """The demo's tokens, valid in every test's database: the template holds the demo data."""

    async def prepare() -> dict[str, str]:
        await postgres.drop(TEMPLATE)
        url = await postgres.create(TEMPLATE, "template0")
        return await on(url, _fill)

    yield asyncio.run(prepare())
    asyncio.run(postgres.drop(TEMPLATE))


async def _fill(connection: Connection) -> dict[str, str]:
    await migrate(connection, find_all())
    made = await demo.fill(connection, {})
    for desired in check(ROOT / "routes.yaml"):
        await apply(connection, desired, actor="tests")
    return made


@pytest.fixture
async def database(postgres: Server, tokens: dict[str, str]) -> AsyncIterator[str]:
    """The address of a database with the demo data, for one test alone."""
    assert tokens
    name = f"gateway_test_{uuid.uuid4().hex}"
    yield await postgres.create(name, TEMPLATE)
    await postgres.drop(name)


@pytest.fixture
async def empty_database(postgres: Server) -> AsyncIterator[str]:
    """The address of a database with nothing in it."""
    name = f"gateway_test_{uuid.uuid4().hex}"
    yield await postgres.create(name, "template0")
    await postgres.drop(name)


def settings(database_url: str, **changes: str) -> Settings:
    given = {f"GATEWAY_{name.upper()}": value for name, value in changes.items()}
    return Settings.load({"GATEWAY_DATABASE_URL": database_url, **given})


class Client:
    """Sends requests to a worker in this process, and holds every answer against its envelope."""

    def __init__(self, worker: Worker, http: httpx.AsyncClient, tokens: dict[str, str]) -> None:
        self.worker = worker
        self.tokens = tokens
        self._http = http

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = await self._http.request(method, path, **options)
        if response.content and not path.startswith("/services"):
            jsonschema.validate(response.json(), ENVELOPE)
            assert response.json()["code"] == response.status_code
        assert "x-request-id" in response.headers
        return response

    async def post(self, path: str, params: object = None, **options: Any) -> httpx.Response:
        """POST params as JSON."""
        body = {} if params is None else {"json": params}
        return await self.request("POST", path, **body, **options)

    async def create_stage(self, *, caller: str = "employee", **params: Any) -> httpx.Response:
        """Call order_stages.create with what it needs at least, and `params`."""
        least = {"token": self.tokens[caller], "update_status": True, "stage": "scheduled"}
        given = {**least, **params}
        return await self.post(
            "/api/v1/order_stages/create",
            {name: value for name, value in given.items() if value is not ...},
        )


@asynccontextmanager
async def serving(
    database_url: str, tokens: dict[str, str], *, actions: Actions | None = None, **changes: str
) -> AsyncIterator[Client]:
    """A client of a worker that serves this database."""
    worker = Worker(settings(database_url, **changes), actions)
    transport = httpx.ASGITransport(worker.app, raise_app_exceptions=True)
    async with (
        worker.running(),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        yield Client(worker, http, tokens)


@pytest.fixture
async def client(database: str, tokens: dict[str, str]) -> AsyncIterator[Client]:
    """A client of a worker that serves the demo."""
    async with serving(database, tokens) as made:
        yield made
