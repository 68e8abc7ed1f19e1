"""`/-/ready`: with and without the database as a condition."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from support.harness import Client, Server, execute, serving, until
from support.proxies import Proxy

from gateway.database.availability import Availability
from gateway.pages import health

CUT = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1
    and backend_type = 'client backend'
"""


@asynccontextmanager
async def unreachable(server: Server, url: str) -> AsyncIterator[None]:
    """Close the database's connections, and refuse new ones, for the length of the block."""
    name = urlsplit(url).path.lstrip("/")
    await execute(server.admin, f'alter database "{name}" allow_connections false')
    try:
        await execute(server.admin, CUT, name)
        yield
    finally:
        await execute(server.admin, f'alter database "{name}" allow_connections true')


async def code(client: Client, path: str) -> int:
    return (await client.get_page(path)).status_code


async def test_ready_with_database_is_503_only_while_the_database_does_not_answer(
    postgres: Server, database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens) as client:
        assert await code(client, "/-/ready?database") == 200
        async with unreachable(postgres, database):
            await until(lambda: not client.worker.health.has_database)
            answer = await client.get_page("/-/ready?database")
            assert (answer.status_code, answer.json()["database"]) == (503, False)
            assert await code(client, "/-/ready") == 200
        await until(lambda: client.worker.health.has_database, 20)
        assert await code(client, "/-/ready?database") == 200


async def test_ready_needs_the_database_if_the_setting_says_so(
    postgres: Server, database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, ready_needs_database="on") as client:
        assert await code(client, "/-/ready") == 200
        async with unreachable(postgres, database):
            await until(lambda: not client.worker.health.ready)
            answer = await client.get_page("/-/ready")
            assert (answer.status_code, answer.json()["ready"]) == (503, False)
            assert await code(client, "/-/live") == 200
        await until(lambda: client.worker.health.ready, 20)
        assert await code(client, "/-/ready") == 200


async def test_ready_is_degraded_soon_after_the_database_falls_silent_and_still_takes_calls(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.database.listen.PING_TIMEOUT", 3600.0)
    async with Proxy(database).running() as proxy, serving(proxy.url, tokens) as client:
        assert not (await client.get_page("/-/ready?database")).json()["degraded"]
        proxy.freeze()
        await until(lambda: client.worker.health.problems)
        answer = await client.get_page("/-/ready?database")
        assert (answer.status_code, answer.json()["degraded"]) == (200, True)
        assert answer.json()["trouble"] == ["the database is late"]
        assert client.worker.pool.problem is None


async def test_ready_is_degraded_only_until_the_database_answers() -> None:
    availability = Availability()
    availability.report_late(0.4)
    availability.report_up("pooler")
    assert availability.warning == "the database is late: no answer for 0.4 s"
    availability.report_up("database")
    assert availability.warning is None


async def test_ready_with_database_forgives_a_short_interruption(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = client.worker
    monkeypatch.setattr(health, "DATABASE_GRACE", 3600.0)
    # No `await` between these lines, so the heartbeat cannot mark the pool up again.
    worker.pool.mark_down("it restarts")
    assert worker.health.has_database
    monkeypatch.setattr(health, "DATABASE_GRACE", -1.0)
    assert not worker.health.has_database
    worker.pool.mark_up()
    assert worker.health.has_database
