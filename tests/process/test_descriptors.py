"""A gateway without a free file descriptor: it says so, serves on, and recovers."""

import resource
import socket
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from support.command import Gateway, wait_until

EXHAUSTED = "worker.out-of-descriptors"
METRIC = "gateway_out_of_descriptors_seconds_total"
SPARE = 8
"""Descriptors that are left for connections."""


def limit_descriptors(pid: int, spare: int) -> None:
    """Let a running process open so many more files, as if its limit had been that low."""
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + spare, hard))


def seconds_without(client: httpx2.Client) -> float:
    """The metric, over a connection that is open already if there is one."""
    families = text_string_to_metric_families(client.get("/-/metrics").text)
    return sum(s.value for family in families for s in family.samples if s.name == METRIC)


def connections(gateway: Gateway) -> list[socket.socket]:
    """More than it can accept."""
    address = "127.0.0.1", gateway.port
    return [socket.create_connection(address, timeout=10) for _ in range(4 * SPARE)]


def test_descriptors_that_are_exhausted_are_reported_and_the_gateway_recovers(
    database: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as err, Gateway.started(tmp_path, database, err) as gateway:
        wait_until(gateway.is_ready)
        with (
            httpx2.Client(base_url=gateway.url, timeout=10) as caller,
            httpx2.Client(base_url=gateway.admin, timeout=10) as operator,
        ):
            flood: list[socket.socket] = []

            def is_exhausted() -> bool:
                if gateway.is_ready():
                    # They are closed after a while, since they send nothing.
                    flood.extend(connections(gateway))
                    return False
                # Connections from before are served all the time.
                assert caller.get("/-/live").status_code == 200
                return seconds_without(operator) >= 2

            assert caller.get("/-/live").status_code == 200
            assert seconds_without(operator) == 0
            limit_descriptors(gateway.process.pid, SPARE)
            wait_until(is_exhausted)
            for connection in flood:
                connection.close()
            # New connections are accepted again, without a restart.
            wait_until(gateway.is_ready)
        assert gateway.end() == 0
    lines = [line for line in log.read_text().splitlines() if EXHAUSTED in line]
    assert len(lines) == 1, lines
