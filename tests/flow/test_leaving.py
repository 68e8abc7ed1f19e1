"""A caller that closes its connection: what has not begun for it is not done."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from support.harness import Client, batched_action, connection_of, execute, serving, until
from support.servers import listening, plain_server

from gateway.edge.protocol import Edge

STAGE = {"update_status": True, "stage": "scheduled", "order_id": 7}
CREATE_STAGE = "/api/v1/order_stages/create"
STAGES = "select from order_stages"


class Door:
    """A worker with one connection to the database, behind a socket."""

    def __init__(self, client: Client, server: Any, address: Any) -> None:
        self.client, self._server, self._address = client, server, address
        self.pool = client.worker.pool
        self.lines: list[dict[str, Any]] = []

    async def ask_and_leave(self, path: str, params: Any, waits: Callable[[], Any]) -> None:
        """Leave once the request waits, and return when the worker knows."""
        _, writer = await asyncio.open_connection(*self._address)
        body = orjson.dumps(params)
        token = self.client.tokens["employee" if path == CREATE_STAGE else "application"]
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + length.encode() + body)
        await until(waits)
        writer.close()
        await writer.wait_closed()
        await until(lambda: not self._server.server_state.connections)


@asynccontextmanager
async def opened(client: Client) -> AsyncIterator[Door]:
    server = plain_server(client.worker.app, Edge, proxy_headers=False)
    async with listening(server) as listener:
        yield Door(client, server, listener.getsockname())


@pytest.fixture
async def door(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Door]:
    async with (
        serving(database, tokens, database_connections="1") as client,
        opened(client) as made,
    ):
        monkeypatch.setattr(client.worker.access, "write", made.lines.append)
        yield made


async def left(door: Door) -> None:
    """The request is over, and its access line says how it ended."""
    await until(lambda: "client-left" in [line["status"] for line in door.lines])


async def test_action_of_a_client_that_left_does_not_start(door: Door) -> None:
    params = {"status": {"name": "Left"}}
    async with connection_of(door.pool):
        await door.ask_and_leave("/services/statuses", params, lambda: door.pool._waiters)
    await left(door)
    assert await execute(door.client.database_url, "select from statuses where name = 'Left'") == []


async def test_batch_whose_only_client_left_does_not_start(door: Door) -> None:
    async with connection_of(door.pool):
        await door.ask_and_leave(CREATE_STAGE, STAGE, lambda: door.pool._waiters)
    await left(door)
    assert await execute(door.client.database_url, STAGES) == []


async def test_batch_leaves_out_a_call_whose_client_left_the_queue(door: Door) -> None:
    create = door.client.create_stage
    async with connection_of(door.pool):
        line = batched_action(door.client, "order_stages.create")
        under_way = [asyncio.create_task(create(order_id=1))]
        await until(lambda: len(line._batches) == 1)
        under_way.append(asyncio.create_task(create(order_id=2)))
        await until(lambda: len(line._batches) == 2)
        await door.ask_and_leave(CREATE_STAGE, STAGE, lambda: line._waiting)
        stays = asyncio.create_task(create(order_id=3))
        await until(lambda: len(line._waiting) == 2)
    answers = [await task for task in (*under_way, stays)]
    assert [answer.status_code for answer in answers] == [200] * 3
    await left(door)
    rows = await execute(door.client.database_url, "select order_id from order_stages order by 1")
    assert [row["order_id"] for row in rows] == [1, 2, 3]


async def test_action_that_has_started_is_finished_after_its_client_left(door: Door) -> None:
    url = door.client.database_url
    lock = "lock table order_requests in access exclusive mode"
    async with connection_of(door.client.worker.outbox_pool) as principal, principal.transaction():
        await principal.execute(lock)
        await door.ask_and_leave(CREATE_STAGE, STAGE, lambda: door.pool._in_use)
    await until(lambda: door.lines)
    assert [line["status"] for line in door.lines] == ["action-successful"]
    assert len(await execute(url, STAGES)) == 1
