"""Revocations and changes of users and tokens: the database notifies every worker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.harness import Client, execute, on, until

from gateway.database.connect import Connection
from gateway.database.listen import Listener
from gateway.database.pool import Pool
from gateway.identity import token_cache
from gateway.identity.token_store import CHANNEL, TokenStore
from gateway.identity.tokens import digest

LOG_IN = """
insert into gateway.sessions (user_id, application_id, token_hash) values (1, 2, 'x') returning id
"""
CHANGES = {
    "update gateway.sessions set revoked_at = now() where user_id = 2": {"session:2"},
    "update gateway.sessions set revoked_at = now() where user_id = 1": {"session:1", "session:5"},
    "delete from gateway.sessions where user_id = 3": {"session:3"},
    "update gateway.application_tokens set revoked_at = now()": {"token:1"},
    "update gateway.application_tokens set routes = '{a.b}'": {"token:1"},
    "update gateway.users set permissions = '{}' where id = 1": {"user:1"},
    "update gateway.users set remember_me = true where id in (2, 3)": {"user:2", "user:3"},
    "update gateway.users set first_name = 'Eve' where id = 4": {"user:4"},
    "insert into gateway.employees (user_id) values (4)": {"user:4"},
    "delete from gateway.liaisons": {"user:3"},
    "update gateway.clients set user_id = 4 where user_id = 2": {"user:2", "user:4"},
    "insert into gateway.clients (name) values ('No user')": {"user:"},
    "update gateway.applications set slug = 'new' where id = 3": {"all:3"},
    # Changes of every call, or of users that no worker caches, cause no notice.
    "update gateway.sessions set last_used_at = now()": set(),
    "update gateway.users set password_hash = 'x'": set(),
    LOG_IN: set(),
}


class Received:
    """The notices received on a connection, and how often listening started."""

    def __init__(self) -> None:
        self.notices: set[str] = set()
        self.starts = 0

    def count_start(self) -> None:
        self.starts += 1


@pytest.fixture
async def received(database: str) -> AsyncIterator[Received]:
    received = Received()
    listener = Listener(database)
    listener.subscribe(CHANNEL, received.notices.add, received.count_start)
    task = asyncio.create_task(listener.run())
    await until(lambda: received.starts)
    yield received
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(("change", "notices"), CHANGES.items(), ids=list(CHANGES))
async def test_identity_change_notifies_about_each_principal_it_concerns(
    received: Received, database: str, change: str, notices: set[str]
) -> None:
    await execute(database, change)
    await execute(database, f"notify {CHANNEL}, 'end'")
    await until(lambda: "end" in received.notices)
    assert received.notices == {*notices, "end"}


async def test_identity_listener_reconnects_after_a_lost_connection(
    received: Received, database: str
) -> None:
    kill = (
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where pid <> pg_backend_pid() and datname = current_database()"
    )
    await execute(database, kill)
    await until(lambda: received.starts == 2)
    await execute(database, f"notify {CHANNEL}, 'again'")
    await until(lambda: "again" in received.notices)


@pytest.fixture
def long_lived_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers keep cache entries for an hour, so that only notices change them."""
    monkeypatch.setattr(token_cache, "FRESH", 3600.0)


async def slug(client: Client, caller: str) -> str:
    return str((await client.create_stage(caller=caller, order_id=7)).json()["status"])


async def wait_for_status(client: Client, caller: str, status: str) -> None:
    """Call until the answer has this status."""
    async with asyncio.timeout(10):
        while True:
            if await slug(client, caller) == status:
                return


@pytest.mark.usefixtures("long_lived_cache")
@pytest.mark.parametrize(
    ("caller", "change", "before", "after"),
    [
        (
            "employee",
            "update gateway.sessions set revoked_at = now()",
            "action-successful",
            "invalid-token",
        ),
        ("employee", "delete from gateway.employees", "action-successful", "client-required"),
        (
            "client",
            "insert into gateway.employees (user_id) values (2)",
            "permission-denied",
            "action-successful",
        ),
        (
            "application",
            "update gateway.application_tokens set revoked_at = now()",
            "action-successful",
            "invalid-token",
        ),
        (
            "application",
            "update gateway.application_tokens set routes = '{statuses.*}'",
            "action-successful",
            "permission-denied",
        ),
    ],
)
async def test_identity_change_reaches_a_worker_that_caches_the_caller(
    client: Client, caller: str, change: str, before: str, after: str
) -> None:
    assert await slug(client, caller) == before
    await execute(client.database_url, change)
    await wait_for_status(client, caller, after)


@pytest.mark.usefixtures("long_lived_cache")
async def test_identity_cache_is_dropped_after_a_lost_listening_connection(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await slug(client, "employee") == "action-successful"
    silence = "alter table sessions disable trigger tell_identity"
    await execute(client.database_url, silence)
    await execute(client.database_url, "update gateway.sessions set revoked_at = now()")
    assert await slug(client, "employee") == "action-successful"
    monkeypatch.setattr("gateway.database.listen.PING_INTERVAL", 0.1)
    await execute(
        client.database_url,
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where pid <> pg_backend_pid() and datname = current_database()",
    )
    await wait_for_status(client, "employee", "invalid-token")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 2)
    yield pool
    await pool.close()


def delay_look_ups(token_store: TokenStore, arrived: asyncio.Event, go: asyncio.Event) -> None:
    """Hold back the result of each look-up of a session until `go`."""
    look_up = token_store._session

    async def slow(digest: bytes) -> Any:
        row = await look_up(digest)
        arrived.set()
        await go.wait()
        return row

    token_store._session = slow  # type: ignore[method-assign]


NOTICES: dict[str, Callable[[TokenStore], None]] = {
    "of the session": lambda token_store: token_store.cache.invalidate("session:1"),
    "of its user": lambda token_store: token_store.cache.invalidate("user:1"),
    "of all": lambda token_store: token_store.cache.invalidate("all:1"),
    "missed": lambda token_store: token_store.cache.invalidate_all(),
}


@pytest.mark.usefixtures("long_lived_cache")
@pytest.mark.parametrize("notice", NOTICES.values(), ids=NOTICES)
async def test_identity_look_up_older_than_a_notice_is_not_cached(
    pool: Pool, tokens: dict[str, str], notice: Callable[[TokenStore], None]
) -> None:
    token_store, arrived, go = TokenStore(pool), asyncio.Event(), asyncio.Event()
    delay_look_ups(token_store, arrived, go)
    asking = asyncio.create_task(token_store.find(tokens["employee"]))
    await arrived.wait()
    notice(token_store)
    go.set()
    assert await asking
    assert token_store.remembered(tokens["employee"]) is None


@pytest.mark.usefixtures("long_lived_cache")
async def test_identity_look_up_is_cached_despite_notices_about_others(
    pool: Pool, tokens: dict[str, str]
) -> None:
    token_store, arrived, go = TokenStore(pool), asyncio.Event(), asyncio.Event()
    delay_look_ups(token_store, arrived, go)
    asking = asyncio.create_task(token_store.find(tokens["employee"]))
    await arrived.wait()
    for notice in ("session:2", "user:2", "token:1"):
        token_store.cache.invalidate(notice)
    go.set()
    await asking
    assert token_store.remembered(tokens["employee"])


@pytest.mark.usefixtures("long_lived_cache")
async def test_identity_cache_does_not_refuse_a_user_with_a_new_role(
    database: str, client: Client
) -> None:
    assert await slug(client, "nobody") == "client-required"

    async def insert_without_notice(db: Connection) -> None:
        await db.execute("set session_replication_role = replica")
        await db.execute("insert into gateway.employees (user_id) values (4)")

    await on(database, insert_without_notice)
    assert await slug(client, "nobody") == "action-successful"


async def test_identity_cache_of_an_invalidated_principal_keeps_only_that_the_token_is_known(
    database: str, pool: Pool, tokens: dict[str, str]
) -> None:
    token_store = TokenStore(pool)
    cache = token_store.cache
    names = ("employee", "liaison", "application", "expired")
    for name in names:
        await token_store.find(tokens[name])
    for notice in ("user:1", "session:3", "token:1"):
        cache.invalidate(notice)
    assert not any(cache.fresh(tokens[name]) for name in names)
    assert not any(cache.within_grace(digest(tokens[name])) for name in names)
    assert not any(token_store.is_guess(tokens[name]) for name in names)
    # Once the database says that a token does not exist, nothing of its principal is left.
    await execute(database, "update gateway.sessions set revoked_at = now()")
    await execute(database, "update gateway.application_tokens set revoked_at = now()")
    for name in names:
        assert await token_store.find(tokens[name]) is None
    assert not cache._entries
    assert not cache._digests
