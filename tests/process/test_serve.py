"""`gateway serve`: signals, a lost database, several workers, and the log."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from support.command import PATIENCE, children_of, fails, running, started, wait_until
from support.harness import ROOT, execute
from support.manifests import applied, locked, migrated

from gateway.manifest.check import check

CREATE = "/api/v1/order_stages/create"


def ready(url: str) -> tuple[int, dict[str, Any]]:
    """The status and body of `/-/ready`; code 0 if nothing listens.

    It fails if a connection is accepted and not answered.
    """
    try:
        answer = httpx2.get(f"{url}/-/ready")
    except (httpx2.NetworkError, httpx2.RemoteProtocolError):
        return 0, {}
    return answer.status_code, answer.json()


def is_ready(url: str) -> bool:
    return ready(url)[0] == 200


def stage(tokens: dict[str, str], **params: Any) -> dict[str, Any]:
    least = {"token": tokens["employee"], "order_id": 7, "update_status": True}
    return {**least, "stage": "scheduled", **params}


def create(url: str, tokens: dict[str, str]) -> int:
    return httpx2.post(url + CREATE, json=stage(tokens)).status_code


def serving(folder: Path, database_url: str, *args: str, **changes: str) -> Any:
    return running("serve", *args, cwd=folder, GATEWAY_DATABASE_URL=database_url, **changes)


def test_serve_without_a_database_setting_is_refused(tmp_path: Path) -> None:
    message = fails("serve", cwd=tmp_path)
    assert message.startswith("GATEWAY_DATABASE_URL is not set")
    assert message.count("\n") == 1


def test_serve_on_a_used_port_is_refused(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, database) as command:
        port = command.url().rpartition(":")[2]
        message = fails("serve", "--port", port, cwd=tmp_path, GATEWAY_DATABASE_URL=database)
        assert message.startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use")


NOWHERE = "postgresql://ada:verysecret@127.0.0.1:1/gateway"


def test_serve_starts_without_a_database_and_serves_once_there_is_one(
    empty_database: str, tmp_path: Path
) -> None:
    with serving(tmp_path, NOWHERE) as alone, serving(tmp_path, empty_database) as command:
        for url in alone.url(), command.url():
            assert httpx2.get(f"{url}/-/live").json() == {"live": True}
            code, body = ready(url)
            assert (code, body["ready"], body["degraded"]) == (503, False, True)
            answer = httpx2.post(url + CREATE, json={"token": "x"})
            assert (answer.status_code, answer.json()["code"]) == (500, 500)
            assert answer.json()["status"] == "identify-request-error"
        asyncio.run(prepare(empty_database))
        wait_until(lambda: is_ready(command.url()))
        answer = httpx2.post(command.url() + CREATE, json={"order_id": 7})
        assert answer.json()["status"] == "missing-param"
        assert (alone.end(), command.end()) == (0, 0)
    assert "verysecret" not in alone.out + alone.err
    assert "Traceback" not in alone.err


async def prepare(url: str) -> None:
    await migrated(url)
    for desired in check(ROOT / "routes.yaml"):
        await applied(url, desired)


def test_serve_with_a_database_is_ready_and_answers(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, database) as command:
        code, body = ready(command.url())
        assert (code, body["ready"], body["degraded"]) == (200, True, False)
        assert body["revision"] >= 1
        assert create(command.url(), tokens) == 200
        assert command.end(signal.SIGINT) == 0


# Only of calls: maintenance, which looks after the table's partitions, may wait for it too.
BLOCKED = """
select from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock'
    and application_name like 'gateway calls %'
"""


async def while_a_request_waits(
    database: str, tokens: dict[str, str], url: str, work: Callable[[], None]
) -> httpx2.Response:
    """Do some work while a request waits for a lock in the database; return its response."""
    async with (
        asyncio.timeout(2 * PATIENCE),
        httpx2.AsyncClient(base_url=url, timeout=PATIENCE) as http,
        asyncio.TaskGroup() as group,
    ):
        async with locked(database, "order_stages"):
            request = group.create_task(http.post(CREATE, json=stage(tokens)))
            while not await execute(database, BLOCKED):
                assert not request.done()
            work()
        return await request


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_serve_on_sigterm_finishes_requests_in_flight_and_exits_0(
    database: str, tokens: dict[str, str], tmp_path: Path, workers: str
) -> None:
    with serving(tmp_path, database, "--workers", workers) as command:
        url = command.url()

        def terminate() -> None:
            command.process.send_signal(signal.SIGTERM)
            # Nothing listens any more, but the waiting request is still in progress.
            while ready(url)[0] != 0:
                assert command.process.poll() is None
            assert command.process.poll() is None

        response = await while_a_request_waits(database, tokens, url, terminate)
        assert response.status_code == 200, response.text
        assert command.process.wait(PATIENCE) == 0
    [stored] = await execute(database, "select count(*) as n from order_stages")
    assert stored["n"] == 1
    [line] = [line for line in command.access_lines() if line["path"] == CREATE]
    assert line["status"] == "action-successful"


def test_serve_that_drains_is_not_ready_and_still_answers(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, database, GATEWAY_DRAIN_DELAY="600") as command:
        url = command.url()
        wait_until(lambda: is_ready(url))
        command.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ready(url)[0] == 503)
        body = ready(url)[1]
        assert (body["ready"], body["draining"]) == (False, True)
        assert create(url, tokens) == 200
        assert command.end() == 0, "a second signal skips the delay"


def test_serve_ends_after_the_drain_delay(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, database, GATEWAY_DRAIN_DELAY="5") as command:
        url = command.url()
        wait_until(lambda: is_ready(url))
        command.process.send_signal(signal.SIGTERM)
        seen = set()
        while (answer := ready(url))[0]:
            seen.add((answer[0], answer[1]["draining"]))
        assert (503, True) in seen
        assert command.process.wait(PATIENCE) == 0


def test_serve_that_may_open_more_connections_than_the_server_has_warns(
    database: str, tmp_path: Path
) -> None:
    with serving(tmp_path, database, GATEWAY_DATABASE_CONNECTIONS="5000") as command:
        command.url()
        assert "warning: one worker opens up to 5008 connections to the server" in command.err
    with serving(tmp_path, database) as command:
        command.url()
        assert "warning" not in command.err


def test_serve_with_two_workers_shares_a_port_and_replaces_a_dead_worker(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, database, "--workers", "2") as command:
        url = command.url()
        supervisor = command.process.pid
        wait_until(lambda: is_ready(url))
        first, second = sorted(children_of(supervisor))
        for worker in first, second:
            answers_without(worker, url, tokens)

        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(children_of(supervisor) - {first}) == 2)
        [third] = children_of(supervisor) - {second}
        assert f'"event":"worker.ended","pid":{first},"exit_code":-9' in command.err
        answers_without(second, url, tokens)

        assert command.end() == 0
        wait_until(lambda: not alive(second) and not alive(third))


def answers_without(worker: int, url: str, tokens: dict[str, str]) -> None:
    """While one worker is stopped, the other answers."""
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_until(lambda: is_ready(url))
        assert create(url, tokens) == 200
    finally:
        os.kill(worker, signal.SIGCONT)


def alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


SIGNALLED = """
import signal
from gateway.serve import server
from gateway.serve.supervisor import Supervisor

class Signalled(Supervisor):
    def _start(self, worker_index, link):
        worker = super()._start(worker_index, link)
        signal.raise_signal(signal.SIGTERM)
        return worker

listener, admin = server.listen("127.0.0.1", 0), server.listen("127.0.0.1", 0)
Signalled(listener, admin, 2).run()
"""


def test_serve_signalled_while_its_workers_start_ends_them_all(tmp_path: Path) -> None:
    changes = {"GATEWAY_DATABASE_URL": "postgresql://127.0.0.1:1/gateway"}
    with started([sys.executable, "-c", SIGNALLED], tmp_path, changes) as command:
        assert command.process.wait(PATIENCE) == 0, command.err


def test_access_log_has_one_line_for_each_request_and_no_token(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    secret = tokens["employee"]
    bearer = {"Authorization": f"Bearer {secret}"}
    params = stage(tokens)
    requests: list[tuple[str, dict[str, Any]]] = [
        ("action-successful", {"json": params}),
        ("action-successful", {"json": {**params, "token": None}, "headers": bearer}),
        ("action-successful", {"params": {**params, "update_status": "true"}}),
        ("action-successful", {"data": {**params, "update_status": "true"}}),
        ("invalid-token", {"json": {**params, "token": f"{secret}x"}}),
        ("invalid-param", {"json": {**params, "order_id": secret}}),
        ("invalid-param", {"json": {**params, "stage_at_mt": secret}}),
        ("missing-param", {"json": {"order_id": 7}, "headers": {"Authorization": secret}}),
        ("invalid-encoded-params", {"content": f'{{"token": "{secret}"'}),
    ]
    with serving(tmp_path, database, GATEWAY_LOG_LEVEL="debug") as command:
        url = command.url()
        with httpx2.Client(base_url=url) as http:
            for number, (_, options) in enumerate(requests):
                headers = {
                    "Content-Type": "application/json",
                    "X-Request-Id": f"request-{number}",
                    **options.pop("headers", {}),
                }
                if "data" in options:
                    del headers["Content-Type"]
                http.post(CREATE, headers=headers, **options)
            http.get(f"/api/v1/nothing?token={secret}", headers={"X-Request-Id": "request-last"})
        assert command.end() == 0
    lines = [(line["request_id"], line["status"]) for line in command.access_lines()]
    expected = [(f"request-{number}", slug) for number, (slug, _) in enumerate(requests)]
    assert lines == [*expected, ("request-last", "route-non-existent")]
    assert secret not in command.out + command.err
    assert secret.removeprefix("plano_ses_") not in command.out + command.err


def test_access_line_names_caller_route_and_outcome(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, database) as command:
        answer = httpx2.post(command.url() + CREATE, json=stage(tokens))
        # The line is written soon, and not only when the gateway stops.
        wait_until(command.access_lines)
        [line] = command.access_lines()
        assert line["request_id"] == answer.headers["x-request-id"]
        assert {name: line[name] for name in ("method", "path", "route", "code", "level")} == {
            "method": "POST",
            "path": CREATE,
            "route": "order_stages.create",
            "code": 200,
            "level": "info",
        }
        assert line["caller"] == "user:1"
        assert line["revision"] == int(answer.headers["x-registry-revision"])
        for text in command.err.splitlines()[1:]:
            assert isinstance(orjson.loads(text), dict)
