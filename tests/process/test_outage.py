"""Without its database the gateway serves what it can, refuses the rest at once, and recovers."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from support.command import PATIENCE, Running, wait_until
from support.harness import execute
from support.manifests import applied, desired, locked
from support.outages import (
    ANSWER_TIMEOUT,
    CREATE,
    NOTHING,
    PROBLEMS,
    RECOVERY_TIMEOUT,
    Database,
    FilledCluster,
    ask,
    is_degraded,
    is_healthy,
    only_worker,
    readiness,
    revisions,
    serving,
    slugs,
    stage,
    within,
    workers_of,
)

from gateway.database.connect import address_of
from gateway.registry import snapshot

UNKNOWN = f"plano_ses_{'x' * 43}"
JSON = {"Content-Type": "application/json"}
MANY = 16


SERVING = "select from gateway.workers where revision > 0"


def introduce(server: Database, url: str, demo_tokens: dict[str, str], workers: set[int]) -> None:
    """Let every worker look up two tokens."""
    wait_until(lambda: len(server.run(SERVING)) == len(workers))
    for worker in workers:
        with only_worker(worker, workers):
            requests = [{"json": stage(demo_tokens[name])} for name in ("employee", "application")]
            assert slugs(url, *requests) == ["action-successful"] * 2


def expected_without(demo_tokens: dict[str, str]) -> list[tuple[dict[str, Any], str]]:
    """Requests, each with its status while the database is unavailable."""
    return [
        ({"json": stage(demo_tokens["employee"])}, "service-unavailable"),
        ({"json": stage(UNKNOWN)}, "service-unavailable"),
        ({"json": stage(UNKNOWN, order_id="x")}, "service-unavailable"),
        ({"json": stage(demo_tokens["employee"], stage=None)}, "missing-param"),
        ({"json": stage(demo_tokens["application"], order_id="x")}, "invalid-param"),
        ({"json": stage(None)}, "missing-param"),
        ({"json": stage("no token of ours")}, "invalid-token"),
        (
            {"content": "{", "headers": {"Content-Type": "application/json"}},
            "invalid-encoded-params",
        ),
        ({"url": NOTHING}, "route-non-existent"),
    ]


def other_lines(command: Running) -> list[str]:
    """The lines of the log without the access lines."""
    return [line for line in command.err.splitlines() if '"event":"request"' not in line]


OUTAGES = [("killed", 1), ("frozen", 1), ("refusing", 1), ("killed", 4), ("frozen", 4)]


@pytest.mark.parametrize(("how", "count"), OUTAGES)
def test_outage_of_the_database_is_survived_by_every_worker(
    server: Database, demo_tokens: dict[str, str], tmp_path: Path, how: str, count: int
) -> None:
    with serving(tmp_path, server.app_url, "--workers", str(count)) as command:
        url, workers = command.url(), workers_of(command, count)
        introduce(server, url, demo_tokens, workers)
        logged = len(other_lines(command))
        server.take_away(how)
        begun = time.monotonic()
        # The first of these requests discover the outage, and wait no longer than the others.
        assert set(slugs(url, *[{"json": stage(demo_tokens["employee"])}] * MANY)) == {
            "service-unavailable"
        }
        within(ANSWER_TIMEOUT)(lambda: is_degraded(url, MANY))
        requests, expected = zip(*expected_without(demo_tokens) * count, strict=True)
        for _ in range(3):
            assert slugs(url, *requests) == [*expected]
        lines = len(other_lines(command)) - logged
        assert lines <= count * (8 + 2 * (time.monotonic() - begun))

        server.restore()
        back = within(RECOVERY_TIMEOUT)
        good = [{"json": stage(demo_tokens["employee"])}] * MANY
        back(lambda: set(slugs(url, *good)) == {"action-successful"})
        back(lambda: is_healthy(url, MANY))
        assert workers_of(command, count) == workers
        assert command.end() == 0
    assert "trace" not in command.err


BLOCKED = "select from pg_stat_activity where wait_event_type = 'Lock'"


async def test_outage_during_a_request_ends_it_with_an_answer(
    server: Database, demo_tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, server.app_url) as command:
        url = command.url()
        await asyncio.to_thread(introduce, server, url, demo_tokens, {command.process.pid})
        async with (
            locked(server.url, "order_stages"),
            httpx2.AsyncClient(base_url=url, timeout=PATIENCE) as http,
        ):
            request = asyncio.create_task(http.post(CREATE, json=stage(demo_tokens["employee"])))
            while not await execute(server.url, BLOCKED):
                assert not request.done()
            server.take_away("frozen")
            async with asyncio.timeout(ANSWER_TIMEOUT):
                answer = await request
            assert (answer.status_code, answer.json()["status"]) == (503, "service-unavailable")
            server.restore()


def test_outage_of_a_frozen_server_does_not_prevent_a_clean_stop(
    server: Database, demo_tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, server.app_url) as command:
        introduce(server, command.url(), demo_tokens, {command.process.pid})
        server.take_away("frozen")
        assert command.end() == 0
    assert "trace" not in command.err


AGE = "update gateway.sessions set last_used_at = now() - interval '1 hour'"
USED = (
    "select from gateway.sessions where last_used_at > now() - interval '1 minute' and user_id = 1"
)


def test_outage_ends_and_missed_revisions_and_uses_are_caught_up(
    server: Database, demo_tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, server.app_url) as command:
        url = command.url()
        introduce(server, url, demo_tokens, {command.process.pid})
        server.run(AGE)
        [old] = revisions(url, 1)
        wait_until(
            lambda: slugs(url, {"json": stage(demo_tokens["employee"])}) and server.run(USED)
        )
        server.take_away("refusing")
        server.run(AGE)
        assert slugs(url, {"json": stage(demo_tokens["employee"], stage=None)}) == ["missing-param"]
        change = asyncio.run(applied(server.url, desired(tmp_path, {"things.create": {}})))
        assert change.revision > old
        assert revisions(url, 1) == {old}
        server.restore()
        back = within(RECOVERY_TIMEOUT)
        back(lambda: revisions(url, 1) == {change.revision})
        back(lambda: server.run(USED))


REFUSAL = 'role "app" is not permitted to log in'


def test_outage_needs_little_processor_time_and_few_log_lines(
    server: Database, demo_tokens: dict[str, str], tmp_path: Path
) -> None:
    with serving(tmp_path, server.app_url) as command:
        introduce(server, command.url(), demo_tokens, {command.process.pid})
        server.take_away("refusing")
        wait_until(lambda: is_degraded(command.url()))
        lines, attempts = len(other_lines(command)), server.log.read_text().count(REFUSAL)
        begun, used = time.monotonic(), seconds_used(command.process.pid)
        wait_until(lambda: server.log.read_text().count(REFUSAL) >= attempts + 8)
        duration = time.monotonic() - begun
        assert duration > 8 / 10, "it retries at most ten times a second"
        assert seconds_used(command.process.pid) - used < duration / 4
        assert len(other_lines(command)) - lines <= 3


def seconds_used(process: int) -> float:
    """The processor time of a process; 0 if the system does not report it."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def saved(filled_cluster: FilledCluster, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The snapshot that a gateway has written."""
    server = Database(tmp_path_factory.mktemp("pg"), filled_cluster.folder)
    folder = tmp_path_factory.mktemp("saved")
    path = snapshot_in(folder)
    try:
        with serving(folder, server.app_url) as command:
            wait_until(lambda: is_healthy(command.url()))
            wait_until(path.exists)
    finally:
        server.end()
    return path.read_bytes()


@pytest.fixture
def good(saved: bytes, server: Database, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same snapshot, bound to the server of the test."""
    path = tmp_path_factory.mktemp("good") / "registry.snapshot"
    path.write_bytes(saved)
    address = orjson.loads(saved.partition(b"\n")[0])["database"]
    table = snapshot.load(path, snapshot.Origin(address))
    assert table
    asyncio.run(snapshot.save(path, table, origin(server)))
    return path.read_bytes()


def origin(server: Database) -> snapshot.Origin:
    return snapshot.Origin(address_of(server.app_url))


def snapshot_in(folder: Path) -> Path:
    return folder / ".gateway" / "registry.snapshot"


def put_snapshot(folder: Path, content: bytes) -> None:
    snapshot_in(folder).parent.mkdir()
    snapshot_in(folder).write_bytes(content)


def comes_back(url: str, demo_tokens: dict[str, str]) -> None:
    back = within(RECOVERY_TIMEOUT)
    back(lambda: slugs(url, {"json": stage(demo_tokens["employee"])}) == ["action-successful"])
    back(lambda: is_healthy(url))


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_outage_at_start_serves_the_snapshot(
    server: Database, demo_tokens: dict[str, str], tmp_path: Path, good: bytes, how: str
) -> None:
    put_snapshot(tmp_path, good)
    server.take_away(how)
    with serving(tmp_path, server.app_url) as command:
        url = command.url()
        wait_until(lambda: readiness(url))
        [report] = readiness(url)
        assert (report["code"], report["degraded"], report["revision"]) == (200, True, 1)
        lost, *_ = PROBLEMS
        assert report["trouble"][:2] == ["serving revision 1 from the snapshot on disk", lost]
        for request, expected in (
            ({"json": stage(UNKNOWN)}, "service-unavailable"),
            ({"json": stage(None)}, "missing-param"),
            ({"url": NOTHING}, "route-non-existent"),
        ):
            assert slugs(url, request) == [expected]
        server.restore()
        comes_back(url, demo_tokens)


DAMAGES = {
    "no snapshot": lambda *_: None,
    "another database": lambda _, saved: saved,
    "a bit": lambda content, _: content[:-40] + bytes([content[-40] ^ 1]) + content[-39:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_outage_at_start_without_a_good_snapshot_is_explained_and_waited_for(
    server: Database,
    demo_tokens: dict[str, str],
    tmp_path: Path,
    good: bytes,
    saved: bytes,
    damage: Any,
) -> None:
    content = damage(good, saved)
    if content:
        put_snapshot(tmp_path, content)
    server.take_away("killed")
    with serving(tmp_path, server.app_url) as command:
        url = command.url()
        wait_until(lambda: readiness(url))
        [report] = readiness(url)
        assert (report["code"], report["ready"], report["revision"]) == (503, False, None)
        [answer] = ask(url, {"json": stage(demo_tokens["employee"])})
        assert (answer.status_code, answer.json()["status"]) == (500, "identify-request-error")
        for text in report["trouble"][0], command.err:
            assert ("the snapshot is refused" in text) == (content is not None)
        server.restore()
        comes_back(url, demo_tokens)
        # A damaged snapshot is replaced by a good one.
        wait_until(lambda: snapshot_in(tmp_path).exists() and not is_refused(tmp_path, server))


def is_refused(folder: Path, server: Database) -> bool:
    try:
        return snapshot.load(snapshot_in(folder), origin(server)) is None
    except snapshot.SnapshotError:
        return True
