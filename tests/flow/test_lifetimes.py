"""The lifetime of sessions on a simulated clock: 7 days, 72 idle hours, and `remember_me`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from support.harness import Client, execute, until

from gateway.identity.token_store import TokenStore

# Far ahead: rows of sessions that ended long ago are deleted by the time of the database.
START = datetime(2126, 5, 4, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
WEEK, IDLE = timedelta(days=7), timedelta(hours=72)
READ = "/api/v1/sessions/read"

WELCOME = (200, "action-successful")
EXPIRED = (401, "session-expired")


class Clock:
    """The time of the sessions; `stand_still` decides whether cached tokens stay fresh."""

    def __init__(self, client: Client) -> None:
        self.now = START
        self.token_store: TokenStore = client.worker.identity.store
        client.worker.identity.now = lambda: self.now
        self._monotonic = self.token_store.cache.clock
        self.token_store.cache.clock = self.jumping
        self._offset = 0.0

    def jumping(self) -> float:
        """Advance an hour at each reading, so that no cache entry is fresh."""
        self._offset += 3600
        return self._monotonic() + self._offset

    def stand_still(self) -> None:
        """Keep every cache entry fresh from now on."""
        now = self._monotonic() + self._offset + 3600
        self.token_store.cache.clock = lambda: now

    def forbid_queries(self) -> None:
        """Let every look-up in the database fail from now on."""
        self.token_store._look_up = None  # type: ignore[method-assign,assignment]


@pytest.fixture
async def clock(client: Client) -> Clock:
    # The token store caches nothing that it looks up before it listens.
    await until(lambda: client.worker.identity.store.cache.listening_since > 0)
    return Clock(client)


async def session_of(client: Client, *, created: datetime, used: datetime) -> None:
    change = "update gateway.sessions set created_at = $1, last_used_at = $2 where user_id = 1"
    await execute(client.database_url, change, created, used)


async def remember(client: Client, choice: str, since: datetime = START) -> None:
    change = f"update gateway.users set remember_me = {choice}, remember_since = $1 where id = 1"
    await execute(client.database_url, change, since)


async def status(client: Client) -> tuple[int, str]:
    response = await client.post(READ, {"token": client.tokens["employee"]})
    return response.status_code, response.json()["status"]


class Edge(NamedTuple):
    """When a session was created and last used, and when it expires."""

    created: datetime
    used: datetime
    end: datetime


EDGES = {
    "7 days old": Edge(START, START + WEEK - HOUR, START + WEEK),
    "72 hours without use": Edge(START, START, START + IDLE),
    "72 hours since it was used again": Edge(START, START + IDLE, START + 2 * IDLE),
    "both at once": Edge(START, START + WEEK - IDLE, START + WEEK),
}
every_edge = pytest.mark.parametrize("edge", EDGES.values(), ids=EDGES)
AROUND = [
    pytest.param(-SECOND, WELCOME, id="a second before"),
    pytest.param(0 * SECOND, WELCOME, id="at the end"),
    pytest.param(SECOND, EXPIRED, id="a second after"),
]


@every_edge
@pytest.mark.parametrize(("around", "expected"), AROUND)
async def test_session_read_from_the_database_expires_to_the_second(
    client: Client, clock: Clock, edge: Edge, around: timedelta, expected: tuple[int, str]
) -> None:
    await session_of(client, created=edge.created, used=edge.used)
    clock.now = edge.end + around
    assert await status(client) == expected


@every_edge
@pytest.mark.parametrize(("around", "expected"), AROUND)
async def test_session_in_the_cache_expires_to_the_second(
    client: Client, clock: Clock, edge: Edge, around: timedelta, expected: tuple[int, str]
) -> None:
    await session_of(client, created=edge.created, used=edge.used)
    clock.now = edge.used
    assert await status(client) == WELCOME
    clock.stand_still()
    assert await status(client) == WELCOME
    clock.forbid_queries()
    clock.now = edge.end + around
    assert await status(client) == expected


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "looked up"])
async def test_session_in_use_expires_only_by_age(
    client: Client, clock: Clock, *, cached: bool
) -> None:
    await session_of(client, created=START, used=START)
    if cached:
        clock.stand_still()
    for hours in (0, 71, 142, 167):
        clock.now = START + hours * HOUR
        assert await status(client) == WELCOME
    clock.now = START + WEEK
    assert await status(client) == WELCOME
    clock.now += SECOND
    assert await status(client) == EXPIRED


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "looked up"])
async def test_session_is_not_extended_by_a_refused_call(
    client: Client, clock: Clock, *, cached: bool
) -> None:
    await session_of(client, created=START, used=START)
    assert await status(client) == WELCOME
    if cached:
        clock.stand_still()
    for seconds in (1, 2, 3600):
        clock.now = START + IDLE + seconds * SECOND
        assert await status(client) == EXPIRED
        await client.worker.identity.last_use.flush()


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "looked up"])
@pytest.mark.parametrize("passed", [WEEK - SECOND, WEEK + SECOND, 520 * WEEK], ids=str)
async def test_session_with_remember_me_does_not_expire(
    client: Client, clock: Clock, passed: timedelta, *, cached: bool
) -> None:
    await remember(client, "true")
    await session_of(client, created=START, used=START)
    assert await status(client) == WELCOME
    if cached:
        clock.stand_still()
        assert await status(client) == WELCOME
    clock.now = START + passed
    assert await status(client) == WELCOME


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "looked up"])
@pytest.mark.parametrize("switched_on", [True, False], ids=["switched on", "switched off"])
async def test_session_follows_a_later_change_of_remember_me(
    client: Client, clock: Clock, *, switched_on: bool, cached: bool
) -> None:
    before, after = ("false", "true") if switched_on else ("true", "false")
    await remember(client, before)
    await session_of(client, created=START, used=START)
    clock.now = START + WEEK + SECOND
    if cached:
        clock.stand_still()
    assert await status(client) == (EXPIRED if switched_on else WELCOME)
    await remember(client, after, clock.now)
    await until(_is_forgotten(clock, client) if cached else lambda: True, 5)
    assert await status(client) == EXPIRED


def _is_forgotten(clock: Clock, client: Client) -> Callable[[], bool]:
    """A function that tells whether the notice of the change has arrived."""
    return lambda: clock.token_store.remembered(client.tokens["employee"]) is None


async def test_session_answer_contains_its_expiry(client: Client, clock: Clock) -> None:
    await session_of(client, created=START, used=START)
    for hours, end in ((0, START + IDLE), (50, START + 50 * HOUR + IDLE), (110, START + WEEK)):
        clock.now = START + hours * HOUR
        answer = await client.post(READ, {"token": client.tokens["employee"]})
        session = answer.json()["data"]["session"]
        assert datetime.fromisoformat(session["expires_at"]) == end
        assert datetime.fromisoformat(session["last_used_at"]) == clock.now


async def test_session_expiry_has_its_own_shoplo_code(client: Client, clock: Clock) -> None:
    await session_of(client, created=START, used=START)
    clock.now = START + IDLE + SECOND
    headers = {"authorization": f"Bearer {client.tokens['employee']}"}
    answer = await client.request("GET", "/services/statuses", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "251")


async def test_application_token_does_not_expire(client: Client, clock: Clock) -> None:
    clock.now = START + 520 * WEEK
    assert (await client.create_stage(caller="application", order_id=7)).status_code == 200
