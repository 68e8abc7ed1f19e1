"""Several workers follow one registry: when all of them do, who is late, and who comes back."""

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
    """A gateway of four workers, all of which serve."""
    with serving(tmp_path, database, "--workers", str(COUNT)) as made:
        wait_until(lambda: len(served(database)) == COUNT)
        wait_until(lambda: is_healthy(made.url(), COUNT))
        yield made
        # A pause of a worker is none of the database.
        assert "does not answer" not in made.err


def served(database: str) -> dict[int, int]:
    """The revisions that workers say they serve, by process."""
    query = "select name, revision from gateway.workers where seen_at > now() - interval '5 s'"
    rows = asyncio.run(execute(database, query))
    return {int(row["name"].rpartition(":")[2]): row["revision"] for row in rows}


def changed(folder: Path, title: str) -> str:
    """A manifest that is new."""
    desired(folder, {"things.create": {"title": title}})
    return "test.yaml"


def apply(folder: Path, database: str, title: str, *options: str) -> int:
    """Run `gateway apply --wait`; answer the revision."""
    file = changed(folder, title)
    told = succeeds(
        *("apply", file, "--wait", "--json", *options), cwd=folder, GATEWAY_DATABASE_URL=database
    )
    [done] = orjson.loads(told)
    revision: int = done["revision"]
    return revision


def test_when_apply_has_waited_every_worker_serves_the_new_revision(
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


def test_a_late_worker_is_named_and_catches_up(
    command: Running, database: str, tmp_path: Path
) -> None:
    url, workers = command.url(), workers_of(command, COUNT)
    late = min(workers)
    os.kill(late, signal.SIGSTOP)
    try:
        # However long it takes to apply, it does not pass for dead.
        asyncio.run(execute(database, ALIVE, f"%:{late}"))
        file = changed(tmp_path, "Late")
        options = ("--wait", "--timeout", "5")
        told = fails("apply", file, *options, cwd=tmp_path, GATEWAY_DATABASE_URL=database)
        [new] = {revision for worker, revision in served(database).items() if worker != late}
        assert f"revision {new} is applied, but after 5 s some workers do not serve it: " in told
        assert f"{socket.gethostname()}:{late} at revision {new - 1}" in told
        assert [worker for worker in workers if f":{worker} " in told] == [late]
    finally:
        os.kill(late, signal.SIGCONT)
    within(RECOVERY_TIMEOUT)(lambda: served(database) == dict.fromkeys(workers, new))
    with only_worker(late, workers):
        assert revisions(url, 1) == {new}
    assert workers_of(command, COUNT) == workers


def test_a_killed_worker_is_replaced_and_catches_up(
    command: Running, database: str, tmp_path: Path
) -> None:
    url, workers = command.url(), workers_of(command, COUNT)
    dead = min(workers)
    os.kill(dead, signal.SIGKILL)
    # Who died is waited for only until nobody would take it for alive.
    revision = apply(tmp_path, database, "New")
    wait_until(lambda: len(children_of(command.process.pid) - {dead}) == COUNT)
    [heir] = children_of(command.process.pid) - workers
    wait_until(lambda: served(database).get(heir) == revision)
    assert revisions(url, MANY) == {revision}
    with only_worker(heir, workers_of(command, COUNT)):
        assert revisions(url, 1) == {revision}


KILL_OTHERS = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


def test_a_revision_that_nobody_was_told_of_is_found(
    command: Running, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, workers = command.url(), workers_of(command, COUNT)

    def is_found(title: str) -> None:
        made = asyncio.run(
            applied(database, desired(tmp_path, {"things.create": {"title": title}}))
        )
        within(RECOVERY_TIMEOUT)(lambda: served(database) == dict.fromkeys(workers, made.revision))
        assert revisions(url, MANY) == {made.revision}

    asyncio.run(execute(database, KILL_OTHERS))
    is_found("While nobody listens")
    monkeypatch.setattr(store, "CHANNEL", "elsewhere")
    is_found("By looking alone")
