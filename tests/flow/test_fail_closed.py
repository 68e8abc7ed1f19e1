"""A fault of the database lets nobody in and turns nobody away: it is `service-unavailable`."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock, patch

import asyncpg
import pytest
from support.harness import Client, execute, serving, until
from support.manifests import locked

from gateway.database.connect import connect
from gateway.database.errors import DatabaseUnavailable
from gateway.database.pool import Pool
from gateway.identity import tokens
from gateway.identity.last_use import LastUse
from gateway.identity.token_cache import FRESH, GRACE
from gateway.identity.token_store import TokenStore

ECHO = "/api/v1/probe/echo"
FAULTS = [
    OSError("the network is gone"),
    ConnectionResetError("reset by peer"),
    ConnectionRefusedError("refused"),
    TimeoutError("late"),
    DatabaseUnavailable("the pool gave up"),
    asyncpg.UndefinedTableError('relation "sessions" does not exist'),
    asyncpg.UndefinedColumnError('column "token_hash" does not exist'),
    asyncpg.InsufficientPrivilegeError("permission denied for view live_sessions"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.InvalidPasswordError("password authentication failed"),
    asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.DiskFullError("no space left on device"),
    asyncpg.InterfaceError("another operation is in progress"),
    asyncpg.InternalClientError("got result for unknown protocol state 3"),
]
every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
PLACES = ["connecting", "asking", "asking, and the connection is closed"]


class Broken(Pool):
    """A pool whose server answers everything with this fault, from this place on."""

    def __init__(self, fault: Exception, place: str) -> None:
        super().__init__("", 1)
        self._fault = fault
        self._place = place

    async def acquire(self, _: Any = None) -> Any:
        if self._place == "connecting":
            with patch.object(asyncpg, "connect", AsyncMock(side_effect=self._fault)):
                return await connect("postgresql://gateway@127.0.0.1/gateway")
        return self

    def release(self, connection: Any, _: Any = None) -> None:
        """Nothing is kept."""

    async def fetchrow(self, *_: object) -> None:
        raise self._fault

    execute = fetchrow

    def is_closed(self) -> bool:
        return self._place.endswith("closed")

    def terminate(self) -> None:
        """As a connection is after a fault of its server."""


def broken(fault: Exception | None = None) -> Broken:
    return Broken(fault or ConnectionResetError("reset by peer"), "asking")


class Times:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds - 1_000_000)


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
async def token_store(probe: Client, times: Times) -> AsyncIterator[TokenStore]:
    """The look-up of the worker, on this clock; its pool is well again in the end."""
    found = probe.worker.identity.store
    pool = found.pool
    # What is confirmed while the notices begin is not remembered.
    await until(lambda: found.cache.listening_since > 0)
    found.cache.clock, probe.worker.identity.now = times, times.now
    yield found
    found.pool = pool


async def status(client: Client, token: str, **params: Any) -> tuple[int, str]:
    response = await client.post(ECHO, {"number": 1, **params}, headers=bearer(token))
    return response.status_code, response.json()["status"]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


UNAVAILABLE = (503, "service-unavailable")
WELCOME = (200, "action-successful")


def strangers(client: Client) -> Iterator[str]:
    """Tokens that this worker has not asked for yet: two that are good, two that nobody has."""
    yield client.tokens["employee"]
    yield client.tokens["application"]
    yield tokens.make(tokens.SESSION_PREFIX)
    yield tokens.make(tokens.APPLICATION_PREFIX)


@every_fault
async def test_unconfirmed_token_is_unavailable_after_any_database_error(
    probe: Client, token_store: TokenStore, fault: Exception
) -> None:
    asked = [*strangers(probe), probe.tokens["nobody"], probe.tokens["expired"]]
    for place in PLACES:
        token_store.pool = Broken(fault, place)
        for token in asked:
            assert await status(probe, token) == UNAVAILABLE, place


@every_fault
async def test_unconfirmed_application_is_unavailable_after_any_database_error(
    probe: Client, token_store: TokenStore, fault: Exception
) -> None:
    callers = [probe.tokens["employee"], probe.tokens["application"]]
    for token in callers:
        assert await status(probe, token) == WELCOME
    for place in PLACES:
        token_store.pool = Broken(fault, place)
        for token in callers:
            for slug in ("planox2", "planox9"):
                assert await status(probe, token, application=slug) == UNAVAILABLE, place


def _server_errors() -> list[type[asyncpg.PostgresError]]:
    found = [kind for kind in vars(asyncpg).values() if inspect.isclass(kind)]
    return [kind for kind in found if issubclass(kind, asyncpg.PostgresError)]


async def test_token_look_up_turns_every_server_error_into_unavailable(
    tokens: dict[str, str],
) -> None:
    kinds = _server_errors()
    assert len(kinds) > 200
    for kind in kinds:
        token_store = TokenStore(broken(kind("no")))
        with pytest.raises(DatabaseUnavailable):
            await token_store.find(tokens["employee"])
        with pytest.raises(DatabaseUnavailable):
            await token_store.is_application("planox2")


async def test_token_look_up_that_times_out_is_unavailable(
    probe: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.identity.token_store.LOOKUP_TIMEOUT", 0.2)
    async with locked(probe.database_url, "sessions"):
        assert await status(probe, probe.tokens["employee"]) == UNAVAILABLE


async def test_database_errors_are_not_counted_as_guesses(
    probe: Client, token_store: TokenStore
) -> None:
    pool, token_store.pool = token_store.pool, broken()
    for _ in range(120):
        assert await status(probe, tokens.make(tokens.SESSION_PREFIX)) == UNAVAILABLE
    token_store.pool = pool
    unknown = tokens.make(tokens.SESSION_PREFIX)
    assert await status(probe, unknown) == (401, "invalid-token")


@pytest.mark.parametrize("caller", ["employee", "application"])
@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, WELCOME), (59.9, WELCOME), (60.1, UNAVAILABLE)]
)
async def test_confirmed_token_is_accepted_for_60_seconds_of_an_outage(
    probe: Client,
    token_store: TokenStore,
    times: Times,
    caller: str,
    seconds: float,
    expected: tuple[int, str],
) -> None:
    assert await status(probe, probe.tokens[caller]) == WELCOME
    token_store.pool = broken()
    times.seconds += seconds
    assert await status(probe, probe.tokens[caller]) == expected


@pytest.mark.parametrize("caller", ["employee", "application"])
async def test_confirmed_token_is_not_extended_by_its_use(
    probe: Client, token_store: TokenStore, times: Times, caller: str
) -> None:
    assert await status(probe, probe.tokens[caller]) == WELCOME
    pool, token_store.pool = token_store.pool, broken()
    for _ in range(59):
        times.seconds += 1
        assert await status(probe, probe.tokens[caller]) == WELCOME
    times.seconds += 1.1
    assert await status(probe, probe.tokens[caller]) == UNAVAILABLE
    token_store.pool = pool
    assert await status(probe, probe.tokens[caller]) == WELCOME


@pytest.mark.parametrize("after", [59.9, 60.1])
async def test_confirmed_application_is_accepted_for_60_seconds_of_an_outage(
    database: str, times: Times, after: float
) -> None:
    pool = Pool(database, 1)
    token_store = TokenStore(pool, clock=times)
    assert await token_store.is_application("planox2")
    assert not await token_store.is_application("planox9")
    await pool.close()
    token_store.pool = broken()
    times.seconds += after / 2
    assert await token_store.is_application("planox2")
    times.seconds += after / 2
    for slug in ["planox9", *(["planox2"] if after > GRACE else [])]:
        with pytest.raises(DatabaseUnavailable):
            await token_store.is_application(slug)
    assert after > GRACE or await token_store.is_application("planox2")


async def test_revoked_token_is_not_accepted_from_the_cache(
    probe: Client, token_store: TokenStore, times: Times
) -> None:
    token = probe.tokens["employee"]
    session = await token_store.find(token)
    assert session
    token_store.pool = broken()
    times.seconds += FRESH + 1
    assert await status(probe, token) == WELCOME
    token_store.cache.invalidate(f"session:{session.id}")
    assert await status(probe, token) == UNAVAILABLE


async def test_token_revoked_during_its_look_up_is_not_accepted(
    probe: Client, token_store: TokenStore, times: Times
) -> None:
    token = probe.tokens["employee"]
    session = await token_store.find(token)
    assert session
    times.seconds += FRESH + 1

    class Ends(Broken):
        async def fetchrow(self, *_: object) -> None:
            assert session
            token_store.cache.invalidate(f"session:{session.id}")
            raise ConnectionResetError

    token_store.pool = Ends(ConnectionResetError(), "asking")
    assert await status(probe, token) == UNAVAILABLE


async def test_session_in_use_does_not_expire_as_idle_during_an_outage(
    probe: Client, token_store: TokenStore, times: Times
) -> None:
    token = probe.tokens["employee"]
    unused = times.now() - timedelta(hours=72) + timedelta(seconds=10)
    change = "update sessions set created_at = $1, last_used_at = $1"
    await execute(probe.database_url, change, unused)
    assert await status(probe, token) == WELCOME
    # The use is written, and seconds go by with nothing to write.
    for _ in range(10):
        await probe.worker.identity.last_use.flush()
    token_store.pool = broken()
    times.seconds += 20
    assert await status(probe, token) == WELCOME


@every_fault
async def test_session_uses_that_cannot_be_written_are_written_later(
    database: str, tokens: dict[str, str], times: Times, fault: Exception
) -> None:
    pool = Pool(database, 1)
    token_store = TokenStore(pool, clock=times)
    session: Any = await token_store.find(tokens["employee"])
    times.seconds += 100
    last_use = LastUse(pool)
    last_use.touch(session, times.now())
    last_use.pool = Broken(fault, "asking")
    await last_use.flush()
    last_use.pool = pool
    await last_use.flush()
    await pool.close()
    [row] = await execute(database, "select last_used_at from sessions where id = $1", session.id)
    assert row["last_used_at"] > session.last_used_at + timedelta(seconds=90)


@pytest.mark.parametrize("fault", [FAULTS[0], *FAULTS[-2:]], ids=lambda fault: type(fault).__name__)
async def test_worker_stops_even_if_session_uses_cannot_be_written(
    database: str, tokens: dict[str, str], fault: Exception
) -> None:
    async with asyncio.timeout(8):
        async with serving(database, tokens) as client:
            assert (await client.create_stage(order_id=7)).status_code == 200
            client.worker.identity.store.pool = Broken(fault, "asking")
