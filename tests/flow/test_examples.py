"""The example calls of this project's routes, sent to the demo as their pages show them."""

from base64 import b64encode
from typing import Any

import httpx2
import orjson
from support.answers import in_order
from support.harness import Client

from gateway.pages.documentation.examples import Example, example
from gateway.registry.records import Route

LAST = ("users.update_password", "sessions.delete")
"""They end what the others need: the password, and the session."""

OTHERS = {
    "order_stages.index": "route-not-found",
    "appointments.create": "service-not-found",
    "users.confirm_reset": "invalid-reset-token",
}
"""Routes without a success: not deployed, or with a token that only a mail has."""


def routes(client: Client) -> list[Route]:
    table = client.worker.registry.current
    assert table
    others = [route for name, route in sorted(table.routes.items()) if name not in LAST]
    return [*others, *(table.routes[name] for name in LAST)]


async def send(client: Client, call: Example) -> httpx2.Response:
    headers = {"Content-Type": call.content_type} if call.content_type else {}
    if call.needs_token:
        headers["Authorization"] = f"Bearer {client.tokens['employee']}"
    text = orjson.dumps(call.body)
    content = b64encode(text) if call.content_type == "text/plain" else text
    options: dict[str, Any] = {"content": content} if call.content_type else {}
    return await client.request(call.method, call.target, headers=headers, **options)


async def test_every_example_call_works_and_its_answer_has_the_documented_order(
    client: Client,
) -> None:
    for route in routes(client):
        answer = await send(client, example(route, ()))
        body = answer.json()
        if route.name in OTHERS:
            assert body["status"] == OTHERS[route.name], body
            continue
        assert answer.status_code == 200, body
        assert "x-ignored-params" not in answer.headers
        assert route.returns
        data = body if route.envelope == "shoplo" else body["data"]
        assert in_order(data, route.returns.document), route.name
