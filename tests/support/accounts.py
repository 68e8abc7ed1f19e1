"""Calls of the identity routes: log-ins, sessions, and routes whose body is base64."""

import asyncio
import base64
from typing import Any

import httpx2
import orjson

from gateway.dev.demo import PASSWORD
from support.harness import Client

LOG_IN = "/api/v1/sessions/create"
READ, LIST = "/api/v1/sessions/read", "/api/v1/sessions/index"
DONE = (200, "action-successful")


def outcome(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["status"]


async def secret(client: Client, path: str, **params: Any) -> httpx2.Response:
    """Call a sensitive route."""
    content = base64.b64encode(orjson.dumps(params))
    return await client.request("POST", path, content=content)


async def log_in(
    client: Client, email: str = "client@example.com", password: str = PASSWORD, **params: Any
) -> httpx2.Response:
    params = {"email": email, "password": password, "application": "planoorder", **params}
    return await secret(client, LOG_IN, **params)


async def new_token(client: Client, email: str = "client@example.com") -> str:
    answer = await log_in(client, email)
    assert outcome(answer) == DONE
    token: str = answer.json()["data"]["session"]["token"]
    return token


async def wait_for(client: Client, token: str, expected: tuple[int, str]) -> None:
    """Wait until a session is answered like this."""
    async with asyncio.timeout(5):
        while outcome(await client.post(READ, {"token": token})) != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
