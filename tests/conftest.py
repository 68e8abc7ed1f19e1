"""A real PostgreSQL for all tests, with a database for each: that of the project's own plugin."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
from support.containers import once, over_tcp
from support.harness import Client, Server, execute, on, serving, settings
from support.mail import MailSetup
from support.mandrill import running_stand_in
from support.manifests import migrated, wipe
from support.outages import Database, FilledCluster, fill
from support.probe import actions, apply_probe
from support.upstreams import SECRET, VARIABLE, Service, desired, serving_tours

from gateway.dev.mandrill import StandIn
from gateway.notifications import recorder
from gateway.testing.session import Session

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

__all__ = ["Client", "execute", "on", "serving", "settings"]


@pytest.fixture(scope="session")
def postgres(gateway_session: Session) -> Server:
    """The server of `GATEWAY_TEST_DATABASE_URL`, otherwise an embedded one."""
    return Server(gateway_session.address)


@pytest.fixture(scope="session")
def tokens(gateway_session: Session) -> dict[str, str]:
    """The demo's tokens, valid in the database of every test: its template has the demo data."""
    return gateway_session.content.tokens


@pytest.fixture
def database(gateway_session: Session) -> Iterator[str]:
    """The address of a database with the demo data; each test has its own."""
    with gateway_session.database(gateway_session.content) as url:
        yield url


@pytest.fixture
def empty_database(gateway_session: Session) -> Iterator[str]:
    """The address of an empty database; each test has its own."""
    with gateway_session.database() as url:
        yield url


@pytest.fixture
def tcp_database(empty_database: str) -> Iterator[str]:
    """The address of an empty database by TCP, for containers, which do not see its socket."""
    with over_tcp(empty_database) as url:
        yield url


@pytest.fixture
def applied(tcp_database: str) -> str:
    """A database that the image has migrated, and to which it has applied its routes."""
    assert "migrations applied" in once(tcp_database, "gateway", "migrate")
    assert "+ route order_stages.create" in once(tcp_database, "gateway", "apply")
    return tcp_database


@pytest.fixture(scope="session")
def registry_database(gateway_session: Session) -> Iterator[str]:
    """The address of a database with the gateway's tables, which tests use one after the other."""
    with gateway_session.database() as url:
        asyncio.run(migrated(url))
        yield url


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


@pytest.fixture(scope="session")
def filled_cluster(tmp_path_factory: pytest.TempPathFactory) -> FilledCluster:
    """The data that the servers of `server` begin with."""
    return fill(tmp_path_factory.mktemp("filled"))


@pytest.fixture
def server(
    filled_cluster: FilledCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A server with the demo for one test, which may take it away."""
    # A short name, since the path of a socket must be short.
    server = Database(tmp_path_factory.mktemp("pg"), filled_cluster.folder)
    yield server
    server.end()


@pytest.fixture
def demo_tokens(filled_cluster: FilledCluster) -> dict[str, str]:
    """The demo's tokens in the database of `server`."""
    return filled_cluster.tokens


@pytest.fixture
def tours_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret of the http service `tours` is set, and notifications are written at once."""
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.setattr(recorder, "FLUSH_INTERVAL", 0.05)


@pytest.fixture
async def tours(
    database: str, tokens: dict[str, str], service: Service, tmp_path: Path
) -> AsyncIterator[Client]:
    """A gateway in front of the test's own `service`, as the service `tours`."""
    async with serving_tours(database, tokens, desired(tmp_path, [service.url])) as client:
        yield client
