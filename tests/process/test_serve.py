"""`gateway serve`: signals, a database that is gone, several workers, and what is logged."""

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
    """What `/-/ready` says; code 0 where nobody listens. A connection must not be left to wait."""
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


def test_without_a_database_setting_it_refuses(tmp_path: Path) -> None:
    told = fails("serve", cwd=tmp_path)
    assert told.startswith("GATEWAY_DATABASE_URL is not set")
    assert told.count("\n") == 1


def test_a_port_that_is_used_is_refused(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, database) as command:
        port = command.url().rpartition(":")[2]
        told = fails("serve", "--port", port, cwd=tmp_path, GATEWAY_DATABASE_URL=database)
        assert told.startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use")


NOWHERE = "postgresql://ada:verysecret@127.0.0.1:1/gateway"


def test_it_starts_without_a_database_and_serves_when_there_is_one(
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


def test_with_a_database_it_is_ready_and_answers(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, database) as command:
        code, body = ready(command.url())
        assert (code, body["ready"], body["degraded"]) == (200, True, False)
        assert body["revision"] >= 1
        assert create(command.url(), tokens) == 200
        assert command.end(signal.SIGINT) == 0


BLOCKED = """
select from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock'
"""


async def while_a_request_waits(
    database: str, tokens: dict[str, str], url: str, work: Callable[[], None]
) -> httpx2.Response:
    """Do some work while a request waits for a lock in the database; answer its response."""
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
async def test_sigterm_finishes_what_is_in_flight_and_exits_0(
    database: str, tokens: dict[str, str], tmp_path: Path, workers: str
) -> None:
    with serving(tmp_path, database, "--workers", workers) as command:
        url = command.url()

        def terminate() -> None:
            command.process.send_signal(signal.SIGTERM)
            # Nobody listens any more; the request that waits is still there.
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


def test_while_it_drains_it_is_not_ready_and_still_answers(
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
        assert command.end() == 0, "a second signal does not wait"


def test_after_the_drain_delay_it_ends(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, database, GATEWAY_DRAIN_DELAY="5") as command:
        url = command.url()
        wait_until(lambda: is_ready(url))
        command.process.send_signal(signal.SIGTERM)
        seen = set()
        while (answer := ready(url))[0]:
            seen.add((answer[0], answer[1]["draining"]))
        assert (503, True) in seen
        assert command.process.wait(PATIENCE) == 0


def test_who_may_open_more_connections_than_there_are_is_warned(
    database: str, tmp_path: Path
) -> None:
    with serving(tmp_path, database, GATEWAY_DATABASE_CONNECTIONS="5000") as command:
        command.url()
        assert "warning: one worker opens up to 5007 connections, and the server" in command.err
    with serving(tmp_path, database) as command:
        command.url()
        assert "warning" not in command.err


def test_two_workers_share_a_port_and_the_dead_are_replaced(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, database, "--workers", "2") as command:
        url = command.url()
        supervisor = command.process.pid
        wait_until(lambda: is_ready(url))
        first, second = sorted(children_of(supervisor))
        for one in first, second:
            answers_without(one, url, tokens)

        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(children_of(supervisor) - {first}) == 2)
        [third] = children_of(supervisor) - {second}
        assert f'"event":"worker.ended","pid":{first},"exit_code":-9' in command.err
        answers_without(second, url, tokens)

        assert command.end() == 0
        wait_until(lambda: not alive(second) and not alive(third))


def answers_without(worker: int, url: str, tokens: dict[str, str]) -> None:
    """While one worker is held, the other answers."""
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_until(lambda: is_ready(url))
        assert create(url, tokens) == 200
    finally:
        os.kill(worker, signal.SIGCONT)


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


SIGNALLED = """
import signal
from gateway.serve import server
from gateway.serve.supervisor import Supervisor

class Signalled(Supervisor):
    def _start(self, worker_index):
        worker = super()._start(worker_index)
        signal.raise_signal(signal.SIGTERM)
        return worker

listener, admin = server.listen("127.0.0.1", 0), server.listen("127.0.0.1", 0)
Signalled(listener, admin, 2).run()
"""


def test_a_signal_while_the_workers_start_ends_them_all(tmp_path: Path) -> None:
    changes = {"GATEWAY_DATABASE_URL": "postgresql://127.0.0.1:1/gateway"}
    with started([sys.executable, "-c", SIGNALLED], tmp_path, changes) as command:
        assert command.process.wait(PATIENCE) == 0, command.err


def test_each_request_has_one_access_line_and_no_token_is_logged(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    secret = tokens["employee"]
    bearer = {"Authorization": f"Bearer {secret}"}
    whole = stage(tokens)
    requests: list[tuple[str, dict[str, Any]]] = [
        ("action-successful", {"json": whole}),
        ("action-successful", {"json": {**whole, "token": None}, "headers": bearer}),
        ("action-successful", {"params": {**whole, "update_status": "true"}}),
        ("action-successful", {"data": {**whole, "update_status": "true"}}),
        ("invalid-token", {"json": {**whole, "token": f"{secret}x"}}),
        ("invalid-param", {"json": {**whole, "order_id": secret}}),
        ("invalid-param", {"json": {**whole, "stage_at_mt": secret}}),
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


def test_an_access_line_says_who_called_what_and_how_it_went(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, database) as command:
        answer = httpx2.post(command.url() + CREATE, json=stage(tokens))
        # It is written soon, and not only at the end.
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
