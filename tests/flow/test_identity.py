"""Tokens on a real database: their lifetime, the cache, and uses written in the background."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.harness import Client, execute, on

from gateway.database.errors import DatabaseUnavailable
from gateway.database.pool import Pool
from gateway.identity import issue, tokens
from gateway.identity.last_use import LastUse
from gateway.identity.token_cache import FRESH, GRACE
from gateway.identity.token_store import TokenStore
from gateway.values import Session

CREATE = "/api/v1/order_stages/create"


async def slug(client: Client, caller: str = "employee", **params: Any) -> str:
    response = await client.create_stage(caller=caller, order_id=7, **params)
    status: str = response.json()["status"]
    return status


async def age(client: Client, created: timedelta, used: timedelta) -> None:
    """Set the age of all sessions, and the time since their last use."""
    change = (
        "update gateway.sessions "
        "set created_at = now() - $1::interval, last_used_at = now() - $2::interval"
    )
    await execute(client.database_url, change, created, used)


SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
WEEK, IDLE = timedelta(days=7), timedelta(hours=72)


@pytest.mark.parametrize(
    ("created", "used", "expected"),
    [
        (WEEK - MINUTE, SECOND, "action-successful"),
        (WEEK + SECOND, SECOND, "session-expired"),
        (IDLE, IDLE - MINUTE, "action-successful"),
        (IDLE + MINUTE, IDLE + SECOND, "session-expired"),
    ],
)
async def test_session_expires_after_7_days_or_72_idle_hours(
    client: Client, created: timedelta, used: timedelta, expected: str
) -> None:
    await age(client, created, used)
    assert await slug(client) == expected


async def test_session_with_remember_me_lasts(client: Client) -> None:
    await execute(client.database_url, "update gateway.users set remember_me = true where id = 1")
    # The preference is older than the sessions, which `age` makes old.
    await execute(client.database_url, "update gateway.users set remember_since = null")
    await age(client, 100 * WEEK, 50 * WEEK)
    assert await slug(client) == "action-successful"
    assert await slug(client, "liaison") == "session-expired"


async def test_client_required_answer_contains_the_session(client: Client) -> None:
    response = await client.create_stage(caller="nobody", order_id=7)
    assert (response.status_code, response.json()["status"]) == (401, "client-required")
    session = response.json()["session"]
    assert list(session) == [
        *("id", "token", "user_id", "first_name", "last_name", "email", "application", "roles"),
        *("remember_me", "created_at", "last_used_at", "expires_at"),
    ]
    assert session["token"] == client.tokens["nobody"]
    assert (session["first_name"], session["roles"], session["application"]) == (
        "Dan",
        [],
        "planoorder",
    )


async def test_route_may_accept_users_without_a_role(probe: Client) -> None:
    headers = {"authorization": f"Bearer {probe.tokens['nobody']}"}
    response = await probe.post("/api/v1/probe/anybody", {"number": 1}, headers=headers)
    assert response.status_code == 200


async def test_views_are_added_for_the_kind_of_caller(client: Client) -> None:
    views = {"session_view": "default", "application_view": "default"}
    answer = (await client.create_stage(order_id=7, **views)).json()
    assert answer["session"]["email"] == "employee@example.com"
    assert answer["session"]["expires_at"] is not None
    planoorder = {
        "slug": "planoorder",
        "name": "PlanOrder",
        "roles": ["client", "employee", "liaison"],
    }
    assert answer["application"] == planoorder
    other = await client.create_stage(order_id=7, application="planox2", **views)
    assert other.json()["application"]["slug"] == "planox2"
    answer = (await client.create_stage(caller="application", order_id=7, **views)).json()
    assert (answer["application"]["slug"], answer["application"]["routes"]) == ("planoorder", ["*"])
    assert "session" not in answer
    refused = (await client.create_stage(order_id=4711, **views)).json()
    assert refused["status"] == "invalid-param"
    assert refused["session"]["user_id"] == 1


async def test_unknown_view_is_refused_before_anything_is_written(client: Client) -> None:
    response = await client.create_stage(order_id=7, application_view="all")
    assert response.json()["errors"] == [{"attr": "application_view", "message": "must be default"}]
    assert not await execute(client.database_url, "select from order_stages")


async def test_application_token_may_call_only_its_routes(client: Client) -> None:
    async def issued(routes: str) -> str:
        token: str = await on(
            client.database_url,
            lambda db: issue.application_token(db, "planoorder", routes, "test"),
        )
        return token

    for routes, expected in (
        ("order_stages.create", "action-successful"),
        ("order_stages.*", "action-successful"),
        ("*", "action-successful"),
        ("order_stages.index,appointments.*", "permission-denied"),
    ):
        assert await slug(client, token=await issued(routes)) == expected


@pytest.mark.parametrize("routes", ["", "order_stages", "**", "a.b.c", "order stages.*"])
async def test_application_token_with_invalid_routes_is_not_issued(
    database: str, routes: str
) -> None:
    with pytest.raises(issue.IssueError):
        await on(database, lambda db: issue.application_token(db, "planoorder", routes, ""))


async def test_token_is_stored_only_as_a_hash(client: Client) -> None:
    rows = await execute(
        client.database_url,
        "select token_hash from gateway.sessions "
        "union all select token_hash from gateway.application_tokens",
    )
    assert {row["token_hash"] for row in rows} == {
        tokens.digest(token) for token in client.tokens.values()
    }


async def test_session_last_use_is_written_in_the_background(client: Client) -> None:
    await age(client, MINUTE, MINUTE)
    for _ in range(5):
        assert await slug(client) == "action-successful"
    query = "select last_used_at from gateway.sessions where user_id = 1 order by id"
    [before, *_] = await execute(client.database_url, query)
    assert datetime.now(UTC) - before["last_used_at"] > MINUTE - SECOND
    await client.worker.identity.last_use.flush()
    [after, *_] = await execute(client.database_url, query)
    assert datetime.now(UTC) - after["last_used_at"] < MINUTE


async def test_token_in_the_cache_needs_no_query(client: Client) -> None:
    assert await slug(client) == "action-successful"
    look_up = client.worker.identity.store._look_up
    client.worker.identity.store._look_up = None  # type: ignore[method-assign,assignment]
    assert await slug(client) == "action-successful"
    client.worker.identity.store._look_up = look_up  # type: ignore[method-assign]


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds - 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 2)
    yield pool
    await pool.close()


@pytest.fixture
def token_store(pool: Pool, clock: Clock) -> TokenStore:
    return TokenStore(pool, clock=clock)


async def test_token_revocation_takes_effect_when_its_cache_entry_is_stale(
    token_store: TokenStore, clock: Clock, database: str, tokens: dict[str, str]
) -> None:
    assert await token_store.find(tokens["employee"])
    await execute(database, "update gateway.sessions set revoked_at = now()")
    clock.seconds += FRESH + 0.1
    assert await token_store.find(tokens["employee"]) is None


async def test_token_in_the_cache_is_accepted_for_60_seconds_of_an_outage(
    token_store: TokenStore, clock: Clock, pool: Pool, tokens: dict[str, str]
) -> None:
    assert await token_store.find(tokens["employee"])
    await pool.close()
    pool._dsn = "postgresql://nobody@127.0.0.1:1/nothing"
    clock.seconds += FRESH + 0.1
    assert await token_store.find(tokens["employee"])
    with pytest.raises(DatabaseUnavailable):
        await token_store.find(tokens["liaison"])
    clock.seconds += GRACE
    with pytest.raises(DatabaseUnavailable):
        await token_store.find(tokens["employee"])


async def test_token_look_ups_at_the_same_time_share_one_query(
    token_store: TokenStore, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = 0
    look_up = token_store._look_up

    async def count(token: str, digest: bytes) -> Any:
        nonlocal queries
        queries += 1
        return await look_up(token, digest)

    monkeypatch.setattr(token_store, "_look_up", count)
    sessions = await asyncio.gather(*(token_store.find(tokens["employee"]) for _ in range(20)))
    assert queries == 1
    assert len(set(sessions)) == 1


async def test_session_use_counts_before_it_is_written(
    token_store: TokenStore, pool: Pool, tokens: dict[str, str]
) -> None:
    session = await token_store.find(tokens["employee"])
    assert isinstance(session, Session)
    stale = session._replace(last_used_at=datetime.now(UTC) - IDLE)
    last_use = LastUse(pool)
    last_use.touch(stale, datetime.now(UTC))
    for _ in range(3):
        assert last_use.with_last_use(stale).last_used_at > datetime.now(UTC) - MINUTE
        await last_use.flush()
