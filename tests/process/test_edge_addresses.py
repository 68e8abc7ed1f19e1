"""Peers of a socket on `::`: IPv4 callers are known by their IPv4 addresses."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import httpx2
import orjson
from support.command import Running, running, wait_until
from support.servers import plain_server

from gateway.edge.protocol import Edge
from gateway.serve import server

WRONG = {"email": "nobody@example.org", "password": "no", "application": "planoorder"}


def log_in(command: Running, address: str, **headers: str) -> int:
    """Try to log in from an address of the loopback network."""
    port = command.url().rpartition(":")[2].rstrip("/")
    transport = httpx2.HTTPTransport(local_address=address)
    with httpx2.Client(transport=transport) as http:
        return http.post(
            f"http://127.0.0.1:{port}/api/v1/sessions/create",
            content=base64.b64encode(orjson.dumps(WRONG)),
            headers=headers,
        ).status_code


def test_edge_ipv4_peers_of_an_ipv6_socket_are_counted_and_trusted_by_their_own_addresses(
    database: str, tmp_path: Path
) -> None:
    options = {
        "GATEWAY_DATABASE_URL": database,
        "GATEWAY_ADDRESS_GUESSES": "2",
        "GATEWAY_TRUSTED_PROXIES": "127.0.0.9",
    }
    with running("serve", "--host", "::", cwd=tmp_path, **options) as command:
        assert [log_in(command, "127.0.0.2") for _ in range(3)] == [400, 400, 429]
        assert log_in(command, "127.0.0.3") == 400
        forwarded = {"X-Forwarded-For": "203.0.113.9"}
        assert [log_in(command, "127.0.0.9", **forwarded) for _ in range(3)] == [400, 400, 429]
        assert log_in(command, "127.0.0.9") == 400
        assert log_in(command, "127.0.0.4", **forwarded) == 400
        # The access log is written a little later.
        wait_until(lambda: len(command.access_lines()) == 9)
        addresses = {line["address"] for line in command.access_lines()}
        assert addresses == {f"127.0.0.{last}" for last in (2, 3, 4, 9)} | {"203.0.113.9"}


async def test_edge_ipv4_peer_of_an_ipv6_socket_is_ipv4_for_an_asgi_application_too() -> None:
    clients = []

    async def application(scope: Any, _: Any, send: Any) -> None:
        clients.append(scope["client"])
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    listener = server.listen("::", 0)
    serving = plain_server(application, Edge)
    task = asyncio.create_task(serving.serve(sockets=[listener]))
    async with httpx2.AsyncClient() as http:
        await http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        await http.get(f"http://[::1]:{listener.getsockname()[1]}/")
    serving.should_exit = True
    await task
    listener.close()
    assert [host for host, _ in clients] == ["127.0.0.1", "::1"]
