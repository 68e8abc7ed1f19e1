"""An error of the database neither accepts nor rejects a caller: it is `service-unavailable`."""

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
from gateway.identity.token_cache import FRESH
from gateway.identity.token_store import TokenStore

ECHO = "/api/v1/probe/echo"
ERRORS = [
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
every_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
MOMENTS = ["connecting", "querying", "querying, and the connection is closed"]


class BrokenPool(Pool):
    """A pool that raises an error at this moment; it is its own connection."""

    def __init__(self, error: Exception, moment: str) -> None:
        super().__init__("", 1)
        self._error = error
        self._moment = moment

    async def acquire(self, _: Any = None) -> Any:
        if self._moment == "connecting":
            with patch.object(asyncpg, "connect", AsyncMock(side_effect=self._error)):
                return await connect("postgresql://gateway@127.0.0.1/gateway")
        return self

    def release(self, connection: Any, _: Any = None) -> None:
        pass

    async def fetchrow(self, *_: object) -> None:
        raise self._error

    execute = fetchrow

    def is_closed(self) -> bool:
        return self._moment.endswith("closed")

    def terminate(self) -> None:
        pass


def broken_pool(error: Exception | None = None) -> BrokenPool:
    return BrokenPool(error or ConnectionResetError("reset by peer"), "querying")


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds - 1_000_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def token_store(probe: Client, clock: Clock) -> AsyncIterator[TokenStore]:
    """The worker's token store on the test's clock; its pool is restored after the test."""
    store = probe.worker.identity.store
    pool = store.pool
    # The token store caches nothing that it looks up before it listens.
    await until(lambda: store.cache.listening_since > 0)
    store.cache.clock, probe.worker.identity.now = clock, clock.now
    yield store
    store.pool = pool


async def status(client: Client, token: str, **params: Any) -> tuple[int, str]:
    response = await client.post(ECHO, {"number": 1, **params}, headers=bearer(token))
    return response.status_code, response.json()["status"]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


UNAVAILABLE = (503, "service-unavailable")
WELCOME = (200, "action-successful")


def uncached_tokens(client: Client) -> Iterator[str]:
    """Tokens that this worker has not looked up yet: two valid ones and two unknown ones."""
    yield client.tokens["employee"]
    yield client.tokens["application"]
    yield tokens.make(tokens.SESSION_PREFIX)
    yield tokens.make(tokens.APPLICATION_PREFIX)


@every_error
async def test_unconfirmed_token_is_unavailable_after_any_database_error(
    probe: Client, token_store: TokenStore, error: Exception
) -> None:
    unconfirmed = [*uncached_tokens(probe), probe.tokens["nobody"], probe.tokens["expired"]]
    for moment in MOMENTS:
        token_store.pool = BrokenPool(error, moment)
        for token in unconfirmed:
            assert await status(probe, token) == UNAVAILABLE, moment


async def test_application_is_known_from_the_registry_without_the_database(
    probe: Client, token_store: TokenStore
) -> None:
    token = probe.tokens["employee"]
    assert await status(probe, token) == WELCOME
    token_store.pool = broken_pool()
    assert await status(probe, token, application="planox2") == WELCOME
    assert (await status(probe, token, application="planox9"))[1] == "invalid-param"


def _server_errors() -> list[type[asyncpg.PostgresError]]:
    classes = [value for value in vars(asyncpg).values() if inspect.isclass(value)]
    return [kind for kind in classes if issubclass(kind, asyncpg.PostgresError)]


async def test_token_look_up_turns_every_server_error_into_unavailable(
    tokens: dict[str, str],
) -> None:
    kinds = _server_errors()
    assert len(kinds) > 200
    for kind in kinds:
        token_store = TokenStore(broken_pool(kind("no")))
        with pytest.raises(DatabaseUnavailable):
            await token_store.find(tokens["employee"])


async def test_token_look_up_that_times_out_is_unavailable(
    probe: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.identity.token_store.LOOKUP_TIMEOUT", 0.2)
    async with locked(probe.database_url, "sessions"):
        assert await status(probe, probe.tokens["employee"]) == UNAVAILABLE


async def test_database_errors_are_not_counted_as_guesses(
    probe: Client, token_store: TokenStore
) -> None:
    pool, token_store.pool = token_store.pool, broken_pool()
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
    clock: Clock,
    caller: str,
    seconds: float,
    expected: tuple[int, str],
) -> None:
    assert await status(probe, probe.tokens[caller]) == WELCOME
    token_store.pool = broken_pool()
    clock.seconds += seconds
    assert await status(probe, probe.tokens[caller]) == expected


@pytest.mark.parametrize("caller", ["employee", "application"])
async def test_confirmed_token_is_not_extended_by_its_use(
    probe: Client, token_store: TokenStore, clock: Clock, caller: str
) -> None:
    assert await status(probe, probe.tokens[caller]) == WELCOME
    pool, token_store.pool = token_store.pool, broken_pool()
    for _ in range(59):
        clock.seconds += 1
        assert await status(probe, probe.tokens[caller]) == WELCOME
    clock.seconds += 1.1
    assert await status(probe, probe.tokens[caller]) == UNAVAILABLE
    token_store.pool = pool
    assert await status(probe, probe.tokens[caller]) == WELCOME


async def test_revoked_token_is_not_accepted_from_the_cache(
    probe: Client, token_store: TokenStore, clock: Clock
) -> None:
    token = probe.tokens["employee"]
    session = await token_store.find(token)
    assert session
    token_store.pool = broken_pool()
    clock.seconds += FRESH + 1
    assert await status(probe, token) == WELCOME
    token_store.cache.invalidate(f"session:{session.id}")
    assert await status(probe, token) == UNAVAILABLE


async def test_token_revoked_during_its_look_up_is_not_accepted(
    probe: Client, token_store: TokenStore, clock: Clock
) -> None:
    token = probe.tokens["employee"]
    session = await token_store.find(token)
    assert session
    clock.seconds += FRESH + 1

    class RevokingPool(BrokenPool):
        async def fetchrow(self, *_: object) -> None:
            assert session
            token_store.cache.invalidate(f"session:{session.id}")
            raise ConnectionResetError

    token_store.pool = RevokingPool(ConnectionResetError(), "querying")
    assert await status(probe, token) == UNAVAILABLE


async def test_session_in_use_does_not_expire_as_idle_during_an_outage(
    probe: Client, token_store: TokenStore, clock: Clock
) -> None:
    token = probe.tokens["employee"]
    unused = clock.now() - timedelta(hours=72) + timedelta(seconds=10)
    change = "update gateway.sessions set created_at = $1, last_used_at = $1"
    await execute(probe.database_url, change, unused)
    assert await status(probe, token) == WELCOME
    # The use is written; the later flushes have nothing to write.
    for _ in range(10):
        await probe.worker.identity.last_use.flush()
    token_store.pool = broken_pool()
    clock.seconds += 20
    assert await status(probe, token) == WELCOME


@every_error
async def test_session_uses_that_cannot_be_written_are_written_later(
    database: str, tokens: dict[str, str], clock: Clock, error: Exception
) -> None:
    pool = Pool(database, 1)
    token_store = TokenStore(pool, clock=clock)
    session: Any = await token_store.find(tokens["employee"])
    clock.seconds += 100
    last_use = LastUse(pool)
    last_use.touch(session, clock.now())
    last_use.pool = BrokenPool(error, "querying")
    await last_use.flush()
    last_use.pool = pool
    await last_use.flush()
    await pool.close()
    [row] = await execute(
        database, "select last_used_at from gateway.sessions where id = $1", session.id
    )
    assert row["last_used_at"] > session.last_used_at + timedelta(seconds=90)


@pytest.mark.parametrize("error", [ERRORS[0], *ERRORS[-2:]], ids=lambda error: type(error).__name__)
async def test_worker_stops_even_if_session_uses_cannot_be_written(
    database: str, tokens: dict[str, str], error: Exception
) -> None:
    async with asyncio.timeout(8):
        async with serving(database, tokens) as client:
            assert (await client.create_stage(order_id=7)).status_code == 200
            client.worker.identity.store.pool = BrokenPool(error, "querying")
