"""A server that answers and confirms no commit: its synchronous standby is gone."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.command import Running, wait_until
from support.outages import (
    RECOVERY_TIMEOUT,
    Database,
    ask,
    is_healthy,
    readiness,
    serving,
    slugs,
    stage,
    within,
)
from support.standbys import STANDBY_NAMES, set_on_server

from gateway.notifications.recorder import OUTCOME_UNKNOWN

READ = "/api/v1/order_statuses/read"
KEY = {"Idempotency-Key": "once"}
STALLED = "commits are not confirmed"
WAITING = """
select count(*) from pg_stat_activity
where wait_event = 'SyncRep' and application_name like 'gateway%'
"""
STAGES = "select count(*) as n from order_stages where notes = $1"


@contextmanager
def no_standby(server: Database) -> Iterator[None]:
    """Let commits wait for a standby that does not exist, for the length of the block."""
    # To change a setting writes no transaction, and so does not wait.
    asyncio.run(set_on_server(server.url, STANDBY_NAMES, "lost"))
    try:
        yield
    finally:
        asyncio.run(set_on_server(server.url, STANDBY_NAMES, ""))


def waiting(server: Database) -> int:
    count: int = server.run(WAITING)[0][0]
    return count


def create(token: str, **params: Any) -> dict[str, Any]:
    return {"json": stage(token, **params), "headers": KEY}


def stall(server: Database, url: str, token: str) -> None:
    """Call until the worker knows that commits are not confirmed."""
    begun = time.monotonic()
    [answer] = ask(url, create(token, notes="first"))
    assert (answer.status_code, answer.json()["message"]) == (503, OUTCOME_UNKNOWN)
    # The call's own deadline is ten seconds.
    assert time.monotonic() - begun < 8
    assert waiting(server)


def test_commits_that_are_not_confirmed_are_refused_and_reads_continue(
    server: Database, demo_tokens: dict[str, str], tmp_path: Path
) -> None:
    token = demo_tokens["employee"]
    read = {"url": READ, "json": {"token": token, "order_id": 7}}
    with serving(tmp_path, server.app_url) as command:
        url = command.url()
        wait_until(lambda: is_healthy(url))
        with no_standby(server):
            stall(server, url, token)
            left = waiting(server)
            for _ in range(5):
                requests = read, {"json": stage(token)}, create(token, notes="first")
                # The first call still holds its key.
                assert slugs(url, *requests) == [
                    *("action-successful", "service-unavailable", "idempotency-conflict")
                ]
            # No refused write, nor any report of the worker, waits in the server.
            assert waiting(server) <= left
            [ready] = readiness(url)
            assert (ready["code"], ready["database"]) == (200, True)
            assert STALLED in ready["trouble"]
            # What waits is not shown to others, since a fail-over would lose it.
            assert server.run(STAGES, "first")[0]["n"] == 0
        back = within(RECOVERY_TIMEOUT)
        back(lambda: slugs(url, create(token, notes="first")) == ["action-successful"])
        back(lambda: is_healthy(url))
        # The first call did commit in the end, and its repetition adds nothing.
        assert server.run(STAGES, "first")[0]["n"] == 1
        wait_until(lambda: not waiting(server))
        assert command.end() == 0
    assert events_of(command) == ["database.commits-stalled", "database.commits-resumed"]


def events_of(command: Running) -> list[str]:
    names = ("commits-stalled", "commits-resumed", "database.down", "registry.problem")
    lines = [line for line in command.err.splitlines() if any(name in line for name in names)]
    return [line.split('"event":"')[1].split('"')[0] for line in lines]


def test_commits_of_an_idle_worker_that_are_not_confirmed_are_noticed(
    server: Database, tmp_path: Path
) -> None:
    with serving(tmp_path, server.app_url) as command:
        url = command.url()
        wait_until(lambda: is_healthy(url))
        with no_standby(server):
            within(RECOVERY_TIMEOUT)(lambda: STALLED in readiness(url)[0]["trouble"])
        within(RECOVERY_TIMEOUT)(lambda: is_healthy(url))
