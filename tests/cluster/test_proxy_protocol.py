"""The PROXY protocol as a real HAProxy sends it, both versions, with its health checks."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from support.command import Running, free_port, running, started, wait_until

CLIENT = "127.0.0.9"
CONFIGURATION = """
global
    log stderr format raw local0
defaults
    mode tcp
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend public
    bind 127.0.0.1:{port}
    default_backend gateways
backend gateways
    option httpchk GET /-/ready
    server gateway 127.0.0.1:{gateway} source 127.0.0.3 check inter 200ms {option}
"""


@pytest.fixture
def haproxy() -> str:
    program = shutil.which("haproxy")
    if program is None:
        pytest.fail("haproxy is not on this machine; install it")
    return program


@contextmanager
def gateway(folder: Path, database: str) -> Iterator[tuple[Running, int]]:
    options = {
        "GATEWAY_DATABASE_URL": database,
        "GATEWAY_PROXY_PROTOCOL": "on",
        "GATEWAY_TRUSTED_PROXIES": "127.0.0.3",
    }
    with running("serve", cwd=folder, **options) as command:
        yield command, int(command.url().rpartition(":")[2].rstrip("/"))


def call(url: str) -> int | None:
    """Call a route from the client's address; None if no answer comes."""
    transport = httpx2.HTTPTransport(local_address=CLIENT)
    try:
        with httpx2.Client(transport=transport) as http:
            return http.get(f"{url}/services/statuses?token=plano_app_unknown").status_code
    except httpx2.TransportError:
        return None


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"])
def test_proxy_protocol_of_haproxy_gives_the_address_of_the_client(
    haproxy: str, database: str, tmp_path: Path, option: str
) -> None:
    port = free_port()
    file = tmp_path / "haproxy.cfg"
    with gateway(tmp_path, database) as (command, gateway_port):
        file.write_text(CONFIGURATION.format(port=port, gateway=gateway_port, option=option))
        with started([haproxy, "-f", str(file), "-db"], tmp_path, {}):
            wait_until(lambda: call(f"http://127.0.0.1:{port}") == 401)
            # The access log is written a little later.
            wait_until(lambda: any(line["code"] == 401 for line in command.access_lines()))
        calls = [line for line in command.access_lines() if line["code"] == 401]
        assert {line["address"] for line in calls} == {CLIENT}
        assert "edge.proxy-refused" not in command.err


def test_proxy_protocol_that_haproxy_does_not_send_is_reported(
    haproxy: str, database: str, tmp_path: Path
) -> None:
    port = free_port()
    file = tmp_path / "haproxy.cfg"
    with gateway(tmp_path, database) as (command, gateway_port):
        text = CONFIGURATION.format(port=port, gateway=gateway_port, option="")
        file.write_text(text.replace("check inter 200ms", ""))
        with started([haproxy, "-f", str(file), "-db"], tmp_path, {}):
            wait_until(lambda: call(f"http://127.0.0.1:{port}") or "proxy-refused" in command.err)
        assert '"peer":"127.0.0.3"' in command.err
        assert command.access_lines() == []
