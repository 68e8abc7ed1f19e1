"""The admin port: metrics of all workers, also of killed ones, and readiness with details."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from support.command import PATIENCE, Running, children_of, fails, running, wait_until
from support.harness import ROOT, execute
from support.manifests import locked

from gateway.serve import server
from gateway.serve.server import ServeError
from gateway.serve.supervisor import Supervisor

COUNT = "http_server_request_duration_seconds_count"
RESTARTS = "gateway_worker_restarts_total"
CREATE = "/api/v1/order_stages/create"
NOWHERE = "postgresql://ada:verysecret@127.0.0.1:1/gateway"


def serving(folder: Path, database_url: str, *args: str, **changes: str) -> Any:
    return running("serve", *args, cwd=folder, GATEWAY_DATABASE_URL=database_url, **changes)


def samples(admin: str) -> list[Sample]:
    text = httpx2.get(f"{admin}/-/metrics", timeout=PATIENCE).raise_for_status().text
    return [s for family in text_string_to_metric_families(text) for s in family.samples]


def total(admin: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for sample in samples(admin)
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def send(url: str, count: int) -> None:
    """Send requests for an unknown route, each on its own connection."""
    for _ in range(count):
        assert httpx2.get(f"{url}/nowhere").json()["status"] == "route-non-existent"


def ready(command: Running, workers: int = 1) -> tuple[str, str]:
    """Wait until so many workers serve a revision; return the public and the admin URL."""
    url, admin = command.url(), command.admin()
    wait_until(lambda: serve_a_revision(admin) == workers)
    return url, admin


def serve_a_revision(admin: str) -> int:
    return sum(s.name == "gateway_registry_revision" and s.value > 0 for s in samples(admin))


def send_to_others(stopped: int, url: str, count: int) -> None:
    """Send while one worker is stopped, so that the others answer."""
    os.kill(stopped, signal.SIGSTOP)
    try:
        send(url, count)
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_admin_metrics_are_the_sum_over_workers(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, database, "--workers", "2") as command:
        url, admin = ready(command, 2)
        first, second = sorted(children_of(command.process.pid))
        send_to_others(first, url, 7)
        send_to_others(second, url, 5)
        send(url, 20)
        wait_until(lambda: total(admin, COUNT) >= 32)
        for stopped in first, second:
            os.kill(stopped, signal.SIGSTOP)
            assert total(admin, COUNT) == 32
            assert total(admin, "gateway_answers_total", fault="caller") == 32
            os.kill(stopped, signal.SIGCONT)
        assert {s.labels["pid"] for s in samples(admin) if "pid" in s.labels} == {"0", "1"}
        assert command.end() == 0


BLOCKED = """
select from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock'
"""


async def active_while_one_waits(
    database: str, tokens: dict[str, str], url: str, admin: str, victims: set[int]
) -> float:
    """The gauge of active requests while one waits for a lock; then its worker is killed."""
    stage = {"token": tokens["employee"], "order_id": 7, "update_status": True, "stage": "s"}
    async with httpx2.AsyncClient(timeout=PATIENCE) as http, locked(database, "order_stages"):
        waiting = asyncio.create_task(http.post(url + CREATE, json=stage))
        while not await execute(database, BLOCKED):
            assert not waiting.done()
        wait_until(lambda: total(admin, "http_server_active_requests") > 0)
        active = total(admin, "http_server_active_requests")
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        with pytest.raises(httpx2.HTTPError):
            await waiting
    return active


def test_admin_metrics_of_a_killed_worker_keep_counts_and_drop_gauges(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, database, "--workers", "2", TMPDIR=str(tmp_path)) as command:
        url, admin = ready(command, 2)
        workers = children_of(command.process.pid)
        for worker in workers:
            send_to_others(worker, url, 4)
        wait_until(lambda: total(admin, COUNT) >= 8)
        assert [s.value for s in samples(admin) if s.name == RESTARTS] == [0]
        [folder] = tmp_path.glob("gateway-metrics-*")
        before = set(folder.iterdir())
        waiting = active_while_one_waits(database, tokens, url, admin, workers)
        assert asyncio.run(waiting) == 1

        wait_until(lambda: len(children_of(command.process.pid) - workers) == 2)
        ready(command, 2)
        assert total(admin, COUNT) == 8
        assert total(admin, RESTARTS) == 2
        assert total(admin, "gateway_events_total", event="worker.ended") == 2
        assert total(admin, "http_server_active_requests") == 0
        for worker in children_of(command.process.pid):
            send_to_others(worker, url, 3)
        wait_until(lambda: total(admin, COUNT) >= 14)
        assert total(admin, COUNT) == 14
        # The files are per worker index, so restarts add none.
        assert set(folder.iterdir()) == before
        assert command.end() == 0
        assert not folder.exists()


def test_admin_metrics_of_one_worker_are_counted_in_memory(database: str, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    with serving(tmp_path, database, PROMETHEUS_MULTIPROC_DIR=nowhere) as command:
        url, admin = ready(command)
        send(url, 3)
        assert total(admin, COUNT) == 3
        assert total(admin, "process_resident_memory_bytes") > 0
        assert command.end() == 0


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway without a database."""
    folder = tmp_path_factory.mktemp("alone")
    with serving(folder, NOWHERE) as command:
        yield command


def test_admin_readiness_says_what_is_wrong(alone: Running) -> None:
    answer = httpx2.get(f"{alone.admin()}/-/ready")
    details = answer.json()
    assert (answer.status_code, details["ready"], details["degraded"]) == (503, False, True)
    assert details["worker"].endswith(f":{alone.process.pid}")
    assert (details["routes"], details["in_flight"], details["revision"]) == (0, 0, None)
    assert "verysecret" not in answer.text
    assert httpx2.get(f"{alone.admin()}/-/live").json() == {"live": True}


def test_admin_port_has_no_api_and_public_port_no_metrics(alone: Running) -> None:
    answer = httpx2.get(f"{alone.url()}/-/metrics")
    assert (answer.status_code, answer.json()["code"]) == (500, 500)
    assert httpx2.post(alone.admin() + CREATE).status_code == 404
    assert httpx2.post(f"{alone.admin()}/-/metrics").status_code == 405


def test_admin_port_answers_while_a_worker_drains(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, database, GATEWAY_DRAIN_DELAY="1") as command:
        _, admin = ready(command)
        command.process.send_signal(signal.SIGTERM)
        seen = set()

        def has_ended() -> bool:
            try:
                answer = httpx2.get(f"{admin}/-/ready")
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                return True
            seen.add((answer.status_code, answer.json()["draining"]))
            return False

        wait_until(has_ended)
        assert (503, True) in seen
        assert command.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(("verb", "database_url"), [("serve", NOWHERE), ("dev", "")])
def test_admin_port_in_use_is_refused_before_anything_is_created(
    verb: str, database_url: str, tmp_path: Path
) -> None:
    changes = {"GATEWAY_DATABASE_URL": database_url}
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        stderr = fails(verb, cwd=tmp_path, GATEWAY_ADMIN_PORT=str(port), **changes)
    assert stderr == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose a port with GATEWAY_ADMIN_PORT\n"
    )
    assert not list(tmp_path.iterdir())


def test_admin_port_works_in_dev(empty_database: str, tmp_path: Path) -> None:
    manifest = str(ROOT / "routes.yaml")
    with running("dev", manifest, cwd=tmp_path, GATEWAY_DATABASE_URL=empty_database) as command:
        url, admin = ready(command)
        send(url, 2)
        assert total(admin, COUNT) == 2
        assert command.end() == 0


def test_supervisor_without_a_temporary_folder_raises_serve_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(**_: object) -> str:
        raise FileNotFoundError(2, "no usable temporary directory")

    monkeypatch.setattr("gateway.serve.shared_folder.tempfile.mkdtemp", refuse)
    with server.listen("127.0.0.1", 0) as listener, server.listen("127.0.0.1", 0) as admin:
        supervisor = Supervisor(listener, admin, 2)
        before = [signal.getsignal(sig) for sig in (signal.SIGTERM, signal.SIGINT)]
        try:
            with pytest.raises(ServeError, match="set TMPDIR to another"):
                supervisor.run()
        finally:
            for sig, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
                signal.signal(sig, handler)
