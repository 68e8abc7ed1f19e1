"""The databases of `gateway dev`: its own, another that is named, and none by accident."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.command import environment, fails, servers_of, wait_until
from support.dev import copy_manifest, create, dev_json, developing
from support.harness import execute

LEFT_OUT = """\
version: 1
namespace: plano
services:
  sessions: {kind: python, deployed: true, title: Sessions}
routes:
  sessions.read: {method: POST, deployed: true, title: T, auth: [session], params: {}}
"""


def query(url: str, sql: str) -> list[Any]:
    return [row[0] for row in asyncio.run(execute(url, sql))]


def test_dev_does_not_look_at_the_database_url_of_the_environment(
    empty_database: str, tmp_path: Path
) -> None:
    copy_manifest(tmp_path)
    variables = {"GATEWAY_DATABASE_URL": empty_database, "GATEWAY_LISTEN_DATABASE_URL": "nonsense"}
    with developing(tmp_path, **variables) as command:
        assert create(tmp_path).status_code == 200
        assert f"{tmp_path}/.gateway" in dev_json(tmp_path)["database_url"].replace("%2F", "/")
        for name in variables:
            assert f"{name} is not used: gateway dev serves its own" in command.err
    schemas = "select nspname from pg_namespace where nspname = 'gateway'"
    assert query(empty_database, schemas) == []


def test_dev_with_a_named_database_adds_no_users_and_deletes_nothing(
    empty_database: str, tmp_path: Path
) -> None:
    copy_manifest(tmp_path)
    with developing(tmp_path, "--database-url", empty_database) as command:
        assert "There are no demo users and tokens" in command.out
        assert "curl -s" in command.out, "of a public route"
        assert dev_json(tmp_path)["tokens"] == {}
        assert not (tmp_path / ".gateway" / "postgres").exists()
    (tmp_path / "routes.yaml").write_text(LEFT_OUT)
    with developing(tmp_path, "--database-url", empty_database):
        pass
    assert query(empty_database, "select email from gateway.users") == []
    routes = query(empty_database, "select name from gateway.routes")
    assert {"order_stages.create", "statuses.delete"} <= set(routes)


def test_dev_reset_starts_with_an_empty_database(tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    with developing(tmp_path):
        assert create(tmp_path).json()["data"]["order_stage"]["id"] == 1
        tokens = dev_json(tmp_path)["tokens"]
    kept = tmp_path / ".gateway" / "notes.txt"
    kept.write_text("")
    with developing(tmp_path, "--reset") as command:
        assert "deleted the database in .gateway" in command.out
        assert create(tmp_path).json()["data"]["order_stage"]["id"] == 1
        assert dev_json(tmp_path)["tokens"] == tokens
    assert kept.exists()


def test_dev_reset_refuses_a_database_that_another_process_runs(tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    with developing(tmp_path) as command:
        stderr = fails("dev", "--reset", cwd=tmp_path)
        assert f"is in use by another process (pid {command.process.pid})" in stderr
        assert create(tmp_path).status_code == 200


def test_dev_reset_deletes_no_folder_that_is_not_a_database(tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    file = tmp_path / "data" / "postgres" / "diary.txt"
    file.parent.mkdir(parents=True)
    file.write_text("")
    stderr = fails("dev", "--reset", cwd=tmp_path, GATEWAY_DATA_DIR="data")
    assert "is not a PostgreSQL database: it is not deleted" in stderr
    assert file.exists()


def test_dev_reset_and_a_named_database_exclude_each_other(tmp_path: Path) -> None:
    stderr = fails("dev", "--reset", "--database-url", "postgresql://h/x", cwd=tmp_path)
    assert "omit --database-url" in stderr


def test_dev_reports_a_database_of_another_application(tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    with developing(tmp_path):
        pass
    (tmp_path / "services" / "migrations" / "0001_orders.sql").unlink()
    stderr = fails_after_start(tmp_path)
    assert "services/0001_orders.sql was applied to this database, but its file is gone" in stderr
    assert "The database in .gateway belongs to another application folder or version" in stderr
    assert "`gateway dev --reset` deletes it" in stderr
    assert servers_of(tmp_path) == []


def fails_after_start(folder: Path) -> str:
    """The error output of a `gateway dev` that must exit 1."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "dev"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done
    return done.stderr


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("signals", [2, 3])
def test_dev_stops_in_order_after_several_signals(
    tmp_path: Path, sig: signal.Signals, signals: int
) -> None:
    copy_manifest(tmp_path)
    with developing(tmp_path) as command:
        for _ in range(signals):
            command.process.send_signal(sig)
        assert command.process.wait(60) == 0
        assert "Traceback" not in command.err
        assert '"error"' not in command.err
        assert servers_of(tmp_path) == []


def test_dev_stops_in_order_after_signals_at_any_moment_of_its_stop(tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    with developing(tmp_path) as command:

        def interrupt() -> bool:
            try:
                command.process.send_signal(signal.SIGINT)
            except ProcessLookupError:
                return True
            return command.process.poll() is not None

        wait_until(interrupt)
        assert command.process.wait(60) == 0
        assert "Traceback" not in command.err
        assert servers_of(tmp_path) == []
    assert not list((tmp_path / ".gateway").glob("run/*"))


def test_dev_stops_in_order_after_several_signals_while_it_starts(tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    pid_file = tmp_path / ".gateway" / "postgres" / "postmaster.pid"
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "dev"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(pid_file.exists)
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert (process.returncode, "Traceback" in stderr) == (130, False)
        assert servers_of(tmp_path) == []
    finally:
        for server in servers_of(tmp_path):
            os.kill(server, signal.SIGQUIT)
