"""Abuse by callers and mistakes of services have bounded effects, and do not affect others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.harness import Client, execute, on, serving
from support.probe import apply_probe

from gateway import Call, Rejection, Reply
from gateway.database.connect import Connection
from gateway.upstreams.python import Actions

ECHO = "/api/v1/probe/echo"
FORM = {"content-type": "application/x-www-form-urlencoded"}

FLOODS: dict[str, dict[str, Any]] = {
    "a NUL after each long key": {"json": {"x" * 100_000: ["\0"] * 1000}},
    "many items of a wrong type": {"json": {"ids": ["x"] * 15_000}},
    "many items as one text": {"content": b"ids=" + b"," * 500_000, "headers": FORM},
    "many NULs": {"json": {"free": {"a": ["\0"] * 15_000}}},
    "a long key of a wrong type": {"json": {"inner": {"text": 1}, "n" * 500_000: 1}},
}


@pytest.mark.parametrize("options", FLOODS.values(), ids=FLOODS)
async def test_refusal_of_huge_params_stays_small(probe: Client, options: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {probe.tokens['employee']}", **options.get("headers", {})}
    response = await probe.request("POST", ECHO, **{**options, "headers": headers})
    assert (response.status_code, response.json()["status"]) == (400, "invalid-param")
    assert 1 <= len(response.json()["errors"]) <= 101
    assert len(response.content) < 50_000


async def test_misspelt_param_is_reported_as_missing_and_as_ignored(client: Client) -> None:
    response = await client.create_stage(order_id=7, stage=..., stagee="scheduled")
    assert response.json()["errors"] == [{"attr": "stage", "message": "missing"}]
    assert response.headers["x-ignored-params"] == "stagee"


async def test_timed_out_call_does_not_write_later(database: str, tokens: dict[str, str]) -> None:
    await execute(
        database,
        "update gateway.routes set record = record || '{\"timeout\": 2}' "
        "where name = 'order_stages.create'",
    )
    async with serving(database, tokens) as client:
        locked = asyncio.Event()
        lock = asyncio.create_task(_lock_table(database, "order_requests", locked))
        await locked.wait()
        calls = [client.create_stage(order_id=7) for _ in range(20)]
        answers = await asyncio.gather(*calls)
        assert {answer.status_code for answer in answers} <= {503, 504}
        lock.cancel()
        await asyncio.gather(lock, return_exceptions=True)
        assert (await client.create_stage(order_id=8)).status_code == 200
    [row] = await execute(database, "select count(*) as rows from order_stages")
    assert row["rows"] == 1


async def _lock_table(database: str, table: str, locked: asyncio.Event) -> None:
    """Lock a table until cancelled."""

    async def hold(db: Connection) -> None:
        async with db.transaction():
            await db.execute(f"lock table {table} in access exclusive mode")
            locked.set()
            await asyncio.sleep(60)

    await on(database, hold)


async def test_authentication_works_while_services_hold_all_connections(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, database_connections="1") as client:
        locked = asyncio.Event()
        lock = asyncio.create_task(_lock_table(database, "order_requests", locked))
        await locked.wait()
        stuck = asyncio.create_task(client.create_stage(order_id=7))
        refused = await client.create_stage(caller="client", order_id=7)
        assert refused.json()["status"] == "permission-denied"
        lock.cancel()
        await asyncio.gather(lock, return_exceptions=True)
        assert (await stuck).status_code == 200


async def _reject_with_an_object(_: Call) -> Reply:
    raise Rejection("invalid-param", errors=[{"attr": "a", "message": object()}])  # type: ignore[dict-item]


async def _exit(_: Call) -> Reply:
    raise SystemExit


async def _open_missing_file(call: Call) -> Reply:
    async def work(_: Connection) -> None:
        open("/nonexistent")  # noqa: ASYNC230, PTH123, SIM115 - a deliberate mistake

    await call.db.transaction(work)
    raise AssertionError


def _reply_with(headers: dict[str, str]) -> Callable[[Call], Awaitable[Reply]]:
    async def reply(_: Call) -> Reply:
        return Reply({}, headers)

    return reply


MISTAKES = {
    "errors that are not JSON": _reject_with_an_object,
    "an exit": _exit,
    "a missing file, in a transaction": _open_missing_file,
    "a header with a line break": _reply_with({"X-A": "a\r\nSet-Cookie: b"}),
    "a header's name with a space": _reply_with({"X A": "a"}),
    "a header that the gateway sets": _reply_with({"Content-Length": "3"}),
}


@pytest.mark.parametrize("name", MISTAKES)
async def test_service_mistake_is_answered_as_application_crash(
    database: str, tokens: dict[str, str], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await apply_probe(database)
    async with serving(database, tokens, actions=Actions({"probe.echo": MISTAKES[name]})) as client:
        with caplog.at_level(logging.ERROR):
            response = await client.post(ECHO, {"token": tokens["employee"]})
    assert (response.status_code, response.json()["status"]) == (500, "application-crash")
    assert response.json()["request_id"] in caplog.text


async def test_encoded_slash_does_not_reach_a_health_page(client: Client) -> None:
    response = await client.request("GET", "/-%2Flive")
    assert response.json()["status"] == "route-non-existent"


async def test_large_body_after_a_refused_one_waits_and_small_ones_do_not(probe: Client) -> None:
    large = {"text": "x" * 100_000}
    assert (await probe.post(ECHO, large)).json()["status"] == "missing-param"
    paused = await probe.post(ECHO, large)
    assert (paused.status_code, paused.headers["retry-after"]) == (429, "1")
    assert paused.json()["status"] == "rate-limit-exceeded"
    token = {"authorization": f"Bearer {probe.tokens['employee']}"}
    assert (await probe.post(ECHO, {"text": "x"}, headers=token)).status_code == 200
