"""A server that refuses its work is a dependency at fault, and no crash of the gateway.

Time-outs of a real server expire on locked rows; a full disk is raised by a trigger, with the code
that PostgreSQL uses.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import httpx2
import orjson
import pytest
from support.harness import Client, execute, logged, serving
from support.mail import wait_for_rows
from support.manifests import locked

from gateway.database import errors
from gateway.database.connect import connect
from gateway.database.errors import DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.refusals import EPISODE, Refusals
from gateway.runtime import events

REFUSES = "select * from gateway.notifications where kind = 'database-refuses'"
CRASHES = "select * from gateway.notifications where kind = 'application-crash'"
CALLS = 5


async def set_on_database(url: str, setting: str, value: str) -> None:
    """Set a setting for the connections that are opened from now on."""
    statement = f"format('alter database %I set {setting} = %L', current_database(), '{value}')"
    await execute(url, f"do $do$ begin execute {statement}; end $do$")


@asynccontextmanager
async def row_locked(url: str, row: str) -> AsyncIterator[None]:
    """Hold a lock on a row during the block."""
    connection = await connect(url)
    try:
        async with connection.transaction():
            assert await connection.fetch(f"select from {row} for update")
            yield
    finally:
        await connection.close()


async def create(client: Client) -> httpx2.Response:
    return await client.create_stage(order_id=1)


async def list_statuses(client: Client) -> httpx2.Response:
    headers = {"authorization": f"Bearer {client.tokens['employee']}"}
    return await client.request("GET", "/services/statuses", headers=headers)


async def log_in(client: Client) -> httpx2.Response:
    params = {
        "application": "planoorder",
        "email": "employee@example.com",
        "password": "demo-password",
    }
    body = base64.b64encode(orjson.dumps(params))
    return await client.request("POST", "/api/v1/sessions/create", content=body)


Case: TypeAlias = tuple[
    Callable[[Client], Awaitable[httpx2.Response]],
    Callable[[str], AbstractAsyncContextManager[None]],
]
CASES: dict[str, Case] = {
    "create": (create, lambda url: row_locked(url, "order_statuses where order_id = 1")),
    "list": (list_statuses, lambda url: locked(url, "statuses")),
    "log-in": (log_in, lambda url: row_locked(url, "gateway.users where id = 1")),
}


async def check_refusal(client: Client, caplog: pytest.LogCaptureFixture, sqlstate: str) -> None:
    """Check what an operator sees after some refusals with one code."""
    report = client.worker.health.report()
    assert (report["ready"], report["degraded"]) == (True, True)
    assert report["trouble"] == ["the database refuses statements"]
    [problem] = client.worker.health.problems
    assert sqlstate in problem
    [event] = logged(caplog, events.DATABASE_REFUSES)
    assert event["sqlstate"] == sqlstate
    assert logged(caplog, events.REQUEST_CRASHED) == []
    assert [record for record in caplog.records if record.exc_info] == []
    await wait_for_rows(client.database_url, REFUSES, 1)
    [row] = await execute(client.database_url, REFUSES)
    assert (row["severity"], row["count"], row["route"]) == ("critical", 1, None)
    assert sqlstate in row["message"]
    assert await execute(client.database_url, CRASHES) == []


@pytest.mark.parametrize(
    ("setting", "sqlstate"), [("statement_timeout", "57014"), ("lock_timeout", "55P03")]
)
@pytest.mark.parametrize("case", CASES)
async def test_timeouts_of_the_server_are_service_unavailable(
    database: str,
    tokens: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    setting: str,
    sqlstate: str,
    case: str,
) -> None:
    call, lock = CASES[case]
    await set_on_database(database, setting, "300ms")
    async with serving(database, tokens) as client:
        first = await call(client)
        assert first.status_code == 200, first.text
        async with lock(database):
            answers = [await call(client) for _ in range(3)]
        slug = "error" if case == "list" else "status"
        assert {answer.json()[slug] for answer in answers} == {"service-unavailable"}
        assert {answer.status_code for answer in answers} == {503}
        assert all("retry-after" in answer.headers for answer in answers)
        await check_refusal(client, caplog, sqlstate)
        assert (await call(client)).status_code == 200


RAISES = """
create function is_full() returns trigger language plpgsql as $$ begin
    raise exception 'could not extend file "base/1/1": No space left on device'
        using errcode = '{code}';
end $$
"""
TRIGGER = """
create trigger is_full before insert on order_stages
for each statement execute function is_full()
"""


async def break_inserts(url: str, code: str) -> None:
    """Let every insert of an order stage fail with a code."""
    await execute(url, RAISES.format(code=code))
    await execute(url, TRIGGER)


@pytest.mark.parametrize("code", ["53100", "53200", "58030", "XX001"])
async def test_full_disk_is_service_unavailable(
    client: Client, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    await break_inserts(client.database_url, code)
    calls = (client.create_stage(order_id=number) for number in range(1, 1 + CALLS))
    answers = await asyncio.gather(*calls)
    assert {answer.json()["status"] for answer in answers} == {"service-unavailable"}
    await check_refusal(client, caplog, code)
    await execute(client.database_url, "drop trigger is_full on order_stages")
    assert (await client.create_stage(order_id=1)).status_code == 200


async def test_batch_with_a_locked_row_fails_for_that_call_alone(
    database: str, tokens: dict[str, str]
) -> None:
    await set_on_database(database, "lock_timeout", "300ms")
    async with serving(database, tokens) as client:
        for number in range(1, 1 + CALLS):
            await client.create_stage(order_id=number)
        async with row_locked(database, "order_statuses where order_id = 1"):
            calls = (client.create_stage(order_id=number) for number in range(1, 1 + CALLS))
            answers = await asyncio.gather(*calls)
    assert [answer.status_code for answer in answers] == [503, *[200] * (CALLS - 1)]


async def test_refused_request_is_logged_as_a_fault_of_a_dependency(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(client.worker.access, "write", lines.append)
    await break_inserts(client.database_url, "53100")
    await client.create_stage(order_id=1)
    [line] = lines
    assert (line["status"], line["code"], line["level"]) == ("service-unavailable", 503, "error")


async def test_connection_survives_a_refusal(database: str) -> None:
    pool = Pool(database, 1)
    try:
        db = Database.within(pool, 5)
        before = await db.fetch("select pg_backend_pid() as pid")
        with pytest.raises(DatabaseUnavailable) as error:
            await db.run(_time_out)
        assert error.value.sqlstate == "57014"
        assert await db.fetch("select pg_backend_pid() as pid") == before
    finally:
        await pool.close()


async def _time_out(connection: Any) -> None:
    async with connection.transaction():
        await connection.execute("set local statement_timeout = '10ms'")
        await connection.execute("select pg_sleep(5)")


def test_refusals_emit_one_event_for_each_code_and_episode(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 100.0
    state = Refusals(lambda: now)
    assert state.problem is None
    for _ in range(3):
        state.record(DatabaseUnavailable("full", "53100"))
        state.record(DatabaseUnavailable("late", "57014"))
    assert state.problem == "the database refuses statements: full (53100); late (57014)"
    now += EPISODE / 2
    state.record(DatabaseUnavailable("full", "53100"))
    now += EPISODE * 0.75
    assert state.problem is not None
    now += EPISODE / 2
    assert state.problem is None
    state.record(DatabaseUnavailable("full", "53100"))
    assert state.problem == "the database refuses statements: full (53100)"
    told = [event["sqlstate"] for event in logged(caplog, events.DATABASE_REFUSES)]
    assert told == ["53100", "57014", "53100"]


@pytest.mark.parametrize("sqlstate", [None, "57P01", "57P03", "08006", "23505"])
def test_refusals_ignore_a_server_that_is_away(sqlstate: str | None) -> None:
    state = Refusals()
    state.record(DatabaseUnavailable("away", sqlstate))
    assert state.problem is None


@pytest.mark.parametrize(
    "sqlstate",
    [
        *("53000", "53100", "53200", "53300", "53400", "55P03", "57014", "58000", "58030"),
        *("25P03", "25P04", "XX001", "XX002"),
    ],
)
def test_sqlstate_of_a_server_without_resources_or_time_is_a_refusal(sqlstate: str) -> None:
    assert errors.is_unavailable(sqlstate)
    assert errors.is_refusal(sqlstate)


@pytest.mark.parametrize("sqlstate", ["", "22001", "23505", "42P01", "40001", "P0001", "XX000"])
def test_sqlstate_of_a_refused_statement_is_not_an_outage(sqlstate: str) -> None:
    assert not errors.is_unavailable(sqlstate)
