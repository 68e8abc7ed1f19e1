"""A slow route cannot take all connections of a worker, so other routes continue."""

import asyncio

from support.harness import Client, serving, until
from support.probe import actions, apply_probe

from gateway import Call, Reply
from gateway.upstreams.python import Actions

CONNECTIONS = 4
SHARE = 3


class SlowAction:
    """An action that holds its connection until `released`."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.holding = 0

    async def act(self, call: Call) -> Reply:
        async def hold(_: object) -> None:
            self.holding += 1
            await self.released.wait()

        await call.db.run(hold)
        return Reply()


async def _status(client: Client, method: str, path: str) -> int:
    headers = {"authorization": f"Bearer {client.tokens['employee']}"}
    json = {"text": "a"} if method == "POST" else None
    return (await client.request(method, path, headers=headers, json=json)).status_code


async def test_slow_route_does_not_delay_other_routes(
    database: str, tokens: dict[str, str]
) -> None:
    await apply_probe(database)
    slow, loaded = SlowAction(), actions()
    probes = {name: action for name in loaded.names() if (action := loaded.find(name))}
    with_slow = Actions({**probes, "probe.echo": slow.act})
    connections = {"database_connections": str(CONNECTIONS)}
    async with serving(database, tokens, actions=with_slow, **connections) as client:
        slow_call = "POST", "/api/v1/probe/echo"
        calls = [asyncio.create_task(_status(client, *slow_call)) for _ in range(8)]
        await until(lambda: slow.holding == SHARE)
        async with asyncio.timeout(5):
            other = "GET", "/services/statuses"
            assert [await _status(client, *other) for _ in range(3)] == [200] * 3
        assert slow.holding == SHARE
        slow.released.set()
        answers = await asyncio.gather(*calls)
    assert answers == [200] * 8
    assert slow.holding == len(calls)
