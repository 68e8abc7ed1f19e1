"""Look-ups of tokens behind a locked table: nothing waits for them for long.

The tables are locked as `alter table` locks them. Where a call must not wait for a look-up, that
look-up has an hour, and the test would hang.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from support.harness import Client, execute, serving, until
from support.manifests import locked
from support.probe import actions, apply_probe

from gateway.database.errors import DatabaseUnavailable
from gateway.edge.exchange import AsgiExchange
from gateway.identity import token_cache, token_store, tokens
from gateway.identity.token_store import TokenStore

ECHO = "/api/v1/probe/echo"
HANG = 30
HOUR = 3600.0
UNKNOWN = [f"{tokens.SESSION_PREFIX}{number:043d}" for number in range(20)]
WAITING = """
select from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock' and query ~ 'live_sessions'
"""


@pytest.fixture
def stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached tokens are looked up again at each call."""
    monkeypatch.setattr(token_cache, "FRESH", 0.0)


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up has an hour, so that a call that waits for it hangs."""
    monkeypatch.setattr(token_store, "LOOKUP_TIMEOUT", HOUR)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up is late soon, and the breaker then stays open."""
    monkeypatch.setattr(token_store, "LOOKUP_TIMEOUT", 0.3)
    monkeypatch.setattr(token_store, "BREAKER_PAUSE", HOUR)


@pytest.fixture
async def worker(database: str, tokens: dict[str, str]) -> AsyncIterator[Client]:
    """A client of a worker that was made after the other fixtures changed the times."""
    await apply_probe(database)
    async with serving(database, tokens, actions=actions()) as client:
        yield client


async def call(client: Client, token: str) -> str:
    answer = await client.post(ECHO, {"token": token})
    return str(answer.json()["status"])


class Counted:
    """How many look-ups a token store has begun."""

    def __init__(self, store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._real = store._look_up
        monkeypatch.setattr(store, "_look_up", self._look_up)

    async def _look_up(self, token: str, digest: bytes) -> Any:
        self.count += 1
        return await self._real(token, digest)


@pytest.mark.usefixtures("stale", "endless")
@pytest.mark.parametrize("table", ["sessions", "users"])
async def test_known_token_is_served_from_memory_while_its_look_up_is_late(
    worker: Client, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    token = worker.tokens["employee"]
    assert await call(worker, token) == "action-successful"
    counted = Counted(worker.worker.identity.store, monkeypatch)
    async with locked(worker.database_url, f"gateway.{table}"):
        async with asyncio.timeout(HANG):
            for _ in range(3):
                calls = (call(worker, token) for _ in range(10))
                assert {*await asyncio.gather(*calls)} == {"action-successful"}
        # One look-up goes on in the background for all of them.
        assert counted.count == 1
        assert len(await execute(worker.database_url, WAITING)) == 1
    await until(lambda: not worker.worker.identity.store._lookups)
    assert await call(worker, token) == "action-successful"
    assert counted.count == 2


@pytest.mark.usefixtures("stale", "endless")
async def test_late_look_up_of_a_token_that_a_notice_names_is_waited_for(
    worker: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_store, "STALE_DELAY", 0.1)
    token, store = worker.tokens["employee"], worker.worker.identity.store
    assert await call(worker, token) == "action-successful"
    async with locked(worker.database_url, "gateway.sessions"):
        asking = asyncio.create_task(call(worker, token))
        await until(lambda: store._lookups)
        # As if it was revoked: what memory has may no longer be true.
        store.cache.invalidate("user:1")
        await asyncio.sleep(0.3)
        assert not asking.done()
    async with asyncio.timeout(HANG):
        assert await asking == "action-successful"


@pytest.mark.usefixtures("stale", "short")
async def test_unknown_tokens_are_refused_without_a_wait_once_look_ups_are_late(
    worker: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = worker.tokens["employee"]
    assert await call(worker, known) == "action-successful"
    counted = Counted(worker.worker.identity.store, monkeypatch)
    async with locked(worker.database_url, "gateway.sessions"), asyncio.timeout(HANG):
        assert await call(worker, UNKNOWN[0]) == "service-unavailable"
        assert counted.count == 1
        answers = [await call(worker, token) for token in UNKNOWN]
        assert {*answers} == {"service-unavailable"}
        assert await call(worker, known) == "action-successful"
        assert counted.count == 1
        # The look-ups of applications are not late.
        assert await call(worker, worker.tokens["application"]) == "action-successful"
        assert counted.count == 2


async def test_look_ups_are_made_again_when_the_table_is_free(
    monkeypatch: pytest.MonkeyPatch, database: str, tokens: dict[str, str]
) -> None:
    monkeypatch.setattr(token_store, "LOOKUP_TIMEOUT", 0.2)
    monkeypatch.setattr(token_store, "BREAKER_PAUSE", 0.1)
    await apply_probe(database)
    async with serving(database, tokens, actions=actions()) as client:
        breaker = client.worker.identity.store._breakers[True]
        async with locked(database, "gateway.sessions"):
            assert await call(client, tokens["employee"]) == "service-unavailable"
            assert breaker.is_open
        async with asyncio.timeout(HANG):
            while await call(client, tokens["employee"]) != "action-successful":
                pass
        assert not breaker.is_open
        assert await call(client, UNKNOWN[0]) == "invalid-token"


@pytest.mark.usefixtures("endless")
async def test_look_up_ends_with_the_deadline_of_the_call(worker: Client) -> None:
    identity = worker.worker.identity
    soon = asyncio.get_running_loop().time() + 0.1
    async with locked(worker.database_url, "gateway.sessions"), asyncio.timeout(HANG):
        with pytest.raises(DatabaseUnavailable, match="is late"):
            await identity.look_up(worker.tokens["employee"], "127.0.0.1", soon)


async def test_deadline_of_a_call_counts_from_the_head_of_its_request(
    probe: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory, identity = probe.worker.pipeline.calls, probe.worker.identity
    create, look_up = factory.create, identity.look_up
    deadlines: list[float] = []
    timeouts: list[float] = []

    def record_call(*args: Any) -> Any:
        made = create(*args)
        deadlines.append(made.deadline)
        timeouts.append(made.route.timeout)
        return made

    async def record_look_up(token: str, address: str, deadline: float) -> Any:
        deadlines.append(deadline)
        await asyncio.sleep(0.05)
        return await look_up(token, address, deadline)

    monkeypatch.setattr(factory, "create", record_call)
    monkeypatch.setattr(identity, "look_up", record_look_up)
    body_read_at = 0.0

    async def receive() -> dict[str, Any]:
        nonlocal body_read_at
        await asyncio.sleep(0.05)
        body_read_at = time.monotonic()
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(_: Any) -> None:
        pass

    scope = {
        "type": "http",
        "method": "POST",
        "path": ECHO,
        "raw_path": ECHO.encode(),
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {probe.tokens['employee']}".encode()),
            (b"content-type", b"application/json"),
        ],
    }
    head_at = time.monotonic()
    await probe.worker.app.serve(AsgiExchange(scope, receive, send))
    at_look_up, at_call = deadlines
    assert at_look_up == at_call
    # Neither the body nor the look-up moved it.
    assert head_at <= at_call - timeouts[0] < body_read_at


async def test_call_whose_deadline_passed_before_its_action_is_service_timeout(
    probe: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = probe.worker.identity.look_up

    async def slow(token: str, address: str, deadline: float) -> Any:
        await asyncio.sleep(deadline - asyncio.get_running_loop().time() + 0.05)
        return await real(token, address, deadline)

    monkeypatch.setattr(probe.worker.identity, "look_up", slow)
    async with asyncio.timeout(HANG):
        answer: httpx2.Response = await probe.post(
            "/api/v1/probe/slow", {"token": probe.tokens["employee"]}
        )
    assert answer.json()["status"] == "service-timeout"
