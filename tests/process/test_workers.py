"""Several workers follow one registry: when all of them serve it, which are late, which recover."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from support.command import Running, children_of, fails, succeeds, wait_until
from support.harness import execute
from support.manifests import applied, desired
from support.outages import (
    RECOVERY_TIMEOUT,
    is_healthy,
    only_worker,
    revisions,
    serving,
    within,
    workers_of,
)

from gateway.registry import store

ALIVE = "update gateway.workers set seen_at = now() + interval '5 minutes' where name like $1"
COUNT = 4
MANY = 100


@pytest.fixture
def command(database: str, tmp_path: Path) -> Iterator[Running]:
    """A gateway of four workers that all serve."""
    with serving(tmp_path, database, "--workers", str(COUNT)) as command:
        wait_until(lambda: len(served(database)) == COUNT)
        wait_until(lambda: is_healthy(command.url(), COUNT))
        yield command
        # A worker's own pause is not mistaken for an outage of the database.
        assert "does not answer" not in command.err


def served(database: str) -> dict[int, int]:
    """The revisions that the workers report to serve, by process id."""
    query = "select name, revision from gateway.workers where seen_at > now() - interval '5 s'"
    rows = asyncio.run(execute(database, query))
    return {int(row["name"].rpartition(":")[2]): row["revision"] for row in rows}


def changed(folder: Path, title: str) -> str:
    """Write a manifest with a new title; return its file name."""
    desired(folder, {"things.create": {"title": title}})
    return "test.yaml"


def apply(folder: Path, database: str, title: str, *options: str) -> int:
    """Run `gateway apply --wait`; return the revision."""
    file = changed(folder, title)
    printed = succeeds(
        *("apply", file, "--wait", "--json", *options), cwd=folder, GATEWAY_DATABASE_URL=database
    )
    [result] = orjson.loads(printed)
    revision: int = result["revision"]
    return revision


def test_workers_all_serve_the_new_revision_after_apply_has_waited(
    command: Running, database: str, tmp_path: Path
) -> None:
    url, before = command.url(), 0
    for number in range(3):
        revision = apply(tmp_path, database, f"Title {number}")
        assert revision > before
        assert revisions(url, MANY) == {revision}
        before = revision
    assert set(served(database).values()) == {before}
    workers = workers_of(command, COUNT)
    assert set(served(database)) == workers
    for worker in workers:
        with only_worker(worker, workers):
            assert revisions(url, 1) == {before}


def test_worker_that_is_late_is_named_and_catches_up(
    command: Running, database: str, tmp_path: Path
) -> None:
    url, workers = command.url(), workers_of(command, COUNT)
    late = min(workers)
    os.kill(late, signal.SIGSTOP)
    try:
        # However long the apply takes, the worker does not count as dead.
        asyncio.run(execute(database, ALIVE, f"%:{late}"))
        file = changed(tmp_path, "Late")
        options = ("--wait", "--timeout", "5")
        printed = fails("apply", file, *options, cwd=tmp_path, GATEWAY_DATABASE_URL=database)
        [new] = {revision for worker, revision in served(database).items() if worker != late}
        outcome = "is applied, but after 5 s some workers do not serve it yet: "
        assert f"revision {new} {outcome}" in printed
        assert f"{socket.gethostname()}:{late} at revision {new - 1}" in printed
        assert [worker for worker in workers if f":{worker} " in printed] == [late]
    finally:
        os.kill(late, signal.SIGCONT)
    within(RECOVERY_TIMEOUT)(lambda: served(database) == dict.fromkeys(workers, new))
    with only_worker(late, workers):
        assert revisions(url, 1) == {new}
    assert workers_of(command, COUNT) == workers


def test_worker_that_is_killed_is_replaced_and_its_successor_catches_up(
    command: Running, database: str, tmp_path: Path
) -> None:
    url, workers = command.url(), workers_of(command, COUNT)
    dead = min(workers)
    os.kill(dead, signal.SIGKILL)
    # The apply waits for the dead worker only until its last heartbeat is too old.
    revision = apply(tmp_path, database, "New")
    wait_until(lambda: len(children_of(command.process.pid) - {dead}) == COUNT)
    [successor] = children_of(command.process.pid) - workers
    wait_until(lambda: served(database).get(successor) == revision)
    assert revisions(url, MANY) == {revision}
    with only_worker(successor, workers_of(command, COUNT)):
        assert revisions(url, 1) == {revision}


KILL_OTHERS = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


def test_workers_find_a_revision_without_a_notice(
    command: Running, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, workers = command.url(), workers_of(command, COUNT)

    def apply_and_expect(title: str) -> None:
        change = asyncio.run(
            applied(database, desired(tmp_path, {"things.create": {"title": title}}))
        )
        revision = change.revision
        within(RECOVERY_TIMEOUT)(lambda: served(database) == dict.fromkeys(workers, revision))
        assert revisions(url, MANY) == {revision}

    asyncio.run(execute(database, KILL_OTHERS))
    apply_and_expect("While no worker listens")
    monkeypatch.setattr(store, "CHANNEL", "elsewhere")
    apply_and_expect("By polling alone")
