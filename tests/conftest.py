"""A real PostgreSQL for all tests: one cluster a run, one database a test, from a template."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
from support.harness import ROOT, Client, Server, execute, on, serving, settings
from support.mail import MailSetup
from support.mandrill import running_stand_in
from support.manifests import migrated, wipe
from support.probe import actions, apply_probe

from gateway.database.connect import Connection
from gateway.database.migrate import find_all, migrate
from gateway.dev import demo
from gateway.dev.mandrill import StandIn
from gateway.dev.postgres import Cluster
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check

# A failure must be repeatable; `--hypothesis-profile default` looks for new examples.
hypothesis.settings.register_profile(
    "again",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("again")

# Under nohup, or in the background of a shell, a run ignores these signals, and the processes that
# tests start would inherit that.
for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.SIG_DFL)

TEMPLATE = f"gateway_test_template_{os.getpid()}"
__all__ = ["Client", "execute", "on", "serving", "settings"]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of `GATEWAY_TEST_DATABASE_URL`, otherwise an embedded one for the run."""
    url = os.environ.get("GATEWAY_TEST_DATABASE_URL")
    if url:
        yield Server(url)
        return
    fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    folder = tmp_path_factory.mktemp("postgres")
    with Cluster(folder, options={**fast, "max_connections": "200"}) as cluster:
        yield Server(cluster.url("postgres"))


@pytest.fixture(scope="session")
def tokens(postgres: Server) -> Iterator[dict[str, str]]:
    """The demo's tokens, valid in the database of every test: its template has the demo data."""

    async def create_template() -> dict[str, str]:
        await postgres.drop(TEMPLATE)
        url = await postgres.create(TEMPLATE, "template0")
        demo_tokens: dict[str, str] = await on(url, _fill)
        return demo_tokens

    yield asyncio.run(create_template())
    asyncio.run(postgres.drop(TEMPLATE))


async def _fill(connection: Connection) -> dict[str, str]:
    await migrate(connection, find_all())
    for desired in check(ROOT / "routes.yaml"):
        await apply(connection, desired, Author("tests"))
    return await demo.fill(connection, {})


@pytest.fixture
async def database(postgres: Server, tokens: dict[str, str]) -> AsyncIterator[str]:
    """The address of a database with the demo data; each test has its own."""
    assert tokens
    name = f"gateway_test_{uuid.uuid4().hex}"
    yield await postgres.create(name, TEMPLATE)
    await postgres.drop(name)


@pytest.fixture
async def empty_database(postgres: Server) -> AsyncIterator[str]:
    """The address of an empty database; each test has its own."""
    name = f"gateway_test_{uuid.uuid4().hex}"
    yield await postgres.create(name, "template0")
    await postgres.drop(name)


@pytest.fixture(scope="session")
def registry_database(postgres: Server) -> Iterator[str]:
    """The address of a database with the gateway's tables, which tests use one after the other."""
    name = f"gateway_test_{uuid.uuid4().hex}"
    url = asyncio.run(postgres.create(name, "template0"))
    asyncio.run(migrated(url))
    yield url
    asyncio.run(postgres.drop(name))


@pytest.fixture
async def registry(registry_database: str) -> str:
    """The address of a database with an empty registry; cheaper than a new database."""
    await on(registry_database, wipe)
    return registry_database


@pytest.fixture
async def client(database: str, tokens: dict[str, str]) -> AsyncIterator[Client]:
    """A client of a worker that serves the demo."""
    async with serving(database, tokens) as client:
        yield client


@pytest.fixture
async def probe(database: str, tokens: dict[str, str]) -> AsyncIterator[Client]:
    """A client of a worker that serves the demo and the probe's routes."""
    await apply_probe(database)
    async with serving(database, tokens, actions=actions()) as client:
        yield client


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[StandIn, str]]:
    """A Mandrill stand-in and its address, for the tests of a module."""
    with running_stand_in() as stand_in_and_address:
        yield stand_in_and_address


@pytest.fixture
def setup(
    database: str,
    tokens: dict[str, str],
    served: tuple[StandIn, str],
    monkeypatch: pytest.MonkeyPatch,
) -> MailSetup:
    """A worker's database, and the stand-in that gets its mail."""
    return MailSetup.with_fast_polling(monkeypatch, database, tokens, *served)
