"""A client that closes its connection: work that has not started for it is skipped."""

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


class SocketWorker:
    """A worker with one database connection, behind a socket."""

    def __init__(self, client: Client, server: Any, address: Any) -> None:
        self.client, self._server, self._address = client, server, address
        self.pool = client.worker.pool
        self.lines: list[dict[str, Any]] = []

    async def call_and_leave(self, path: str, params: Any, waits: Callable[[], Any]) -> None:
        """Close the connection once the request waits; return when the worker has noticed."""
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
async def opened(client: Client) -> AsyncIterator[SocketWorker]:
    server = plain_server(client.worker.app, Edge, proxy_headers=False)
    async with listening(server) as listener:
        yield SocketWorker(client, server, listener.getsockname())


@pytest.fixture
async def worker(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SocketWorker]:
    async with (
        serving(database, tokens, database_connections="1") as client,
        opened(client) as worker,
    ):
        monkeypatch.setattr(client.worker.access, "write", worker.lines.append)
        yield worker


async def wait_for_client_left(worker: SocketWorker) -> None:
    """Wait until the access log says that the client has left."""
    await until(lambda: "client-left" in [line["status"] for line in worker.lines])


async def test_action_of_a_client_that_left_does_not_start(worker: SocketWorker) -> None:
    params = {"status": {"name": "Left"}}
    async with connection_of(worker.pool):
        await worker.call_and_leave("/services/statuses", params, lambda: worker.pool._waiters)
    await wait_for_client_left(worker)
    assert (
        await execute(worker.client.database_url, "select from statuses where name = 'Left'") == []
    )


async def test_batch_whose_only_client_left_does_not_start(worker: SocketWorker) -> None:
    async with connection_of(worker.pool):
        await worker.call_and_leave(CREATE_STAGE, STAGE, lambda: worker.pool._waiters)
    await wait_for_client_left(worker)
    assert await execute(worker.client.database_url, STAGES) == []


async def test_batch_leaves_out_a_call_whose_client_left_the_queue(
    worker: SocketWorker,
) -> None:
    create = worker.client.create_stage
    async with connection_of(worker.pool):
        action = batched_action(worker.client, "order_stages.create")
        running = [asyncio.create_task(create(order_id=1))]
        await until(lambda: len(action._batches) == 1)
        running.append(asyncio.create_task(create(order_id=2)))
        await until(lambda: len(action._batches) == 2)
        await worker.call_and_leave(CREATE_STAGE, STAGE, lambda: action._waiting)
        stays = asyncio.create_task(create(order_id=3))
        await until(lambda: len(action._waiting) == 2)
    answers = [await task for task in (*running, stays)]
    assert [answer.status_code for answer in answers] == [200] * 3
    await wait_for_client_left(worker)
    rows = await execute(worker.client.database_url, "select order_id from order_stages order by 1")
    assert [row["order_id"] for row in rows] == [1, 2, 3]


async def test_action_that_has_started_is_finished_after_its_client_left(
    worker: SocketWorker,
) -> None:
    url = worker.client.database_url
    lock = "lock table order_requests in access exclusive mode"
    async with (
        connection_of(worker.client.worker.outbox_pool) as locker,
        locker.transaction(),
    ):
        await locker.execute(lock)
        await worker.call_and_leave(CREATE_STAGE, STAGE, lambda: worker.pool._in_use)
    await until(lambda: worker.lines)
    assert [line["status"] for line in worker.lines] == ["action-successful"]
    assert len(await execute(url, STAGES)) == 1
