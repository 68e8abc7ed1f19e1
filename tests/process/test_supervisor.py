"""The supervisor: workers end with it, signals that stop it, and services that cannot be loaded."""

import os
import signal
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from support.apps import application
from support.command import PATIENCE, Gateway, Running, children_of, is_refused, running, wait_until

BROKEN = "import a_module_that_is_missing\n"
WHOLE = "async def nothing(call): ...\n"
TWO = ("--workers", "2")


def serving(folder: Path, database: str, *args: str, **changes: str) -> Any:
    return running("serve", *args, cwd=folder, GATEWAY_DATABASE_URL=database, **changes)


def is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/-/ready").status_code == 200
    except (httpx2.NetworkError, httpx2.RemoteProtocolError):
        return False


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan that ended may wait for init to take note of it.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " not in stat.read_text()


@pytest.mark.parametrize("sig", ["SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM"])
def test_workers_end_with_their_supervisor(database: str, tmp_path: Path, sig: str) -> None:
    with serving(tmp_path, database, "--workers", "2") as command:
        url = command.url()
        wait_until(lambda: is_ready(url))
        workers = children_of(command.process.pid)
        command.end(signal.Signals[sig])
        wait_until(lambda: not any(map(alive, workers)))
    # The port is free again.
    with serving(tmp_path, database, "--port", url.rpartition(":")[2]) as next_one:
        wait_until(lambda: is_ready(next_one.url()))


def test_workers_whose_supervisor_dies_while_they_start_end(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, database, "--workers", "2") as command:
        command.url()
        wait_until(lambda: len(children_of(command.process.pid)) == 2)
        workers = children_of(command.process.pid)
        command.end(signal.SIGKILL)
        wait_until(lambda: not any(map(alive, workers)))


def test_folder_of_a_killed_supervisor_is_removed_by_the_next_one(
    database: str, tmp_path: Path
) -> None:
    def folders() -> set[Path]:
        return set(tmp_path.glob("gateway-metrics-*"))

    options = {"TMPDIR": str(tmp_path)}
    with serving(tmp_path, database, *TWO, **options) as command:
        wait_until(lambda: is_ready(command.url()))
        first = folders()
        command.end(signal.SIGKILL)
    with (
        serving(tmp_path, database, *TWO, **options) as command,
        serving(tmp_path, database, *TWO, **options) as other,
    ):
        wait_until(lambda: is_ready(command.url()) and is_ready(other.url()))
        assert len(folders()) == 2, "each has its own folder"
        assert not first & folders()
        assert [command.end(), other.end()] == [0, 0]
    assert not folders()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_hangup_stops_the_gateway_in_order(database: str, tmp_path: Path, workers: str) -> None:
    with serving(tmp_path, database, "--workers", workers, GATEWAY_DRAIN_DELAY="600") as command:
        url = command.url()
        wait_until(lambda: is_ready(url))
        command.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not is_ready(url))
        assert httpx2.get(f"{url}/-/ready").json()["draining"], "it still answers"
        assert command.end() == 0


def test_import_that_hangs_is_named_in_the_log(database: str, tmp_path: Path) -> None:
    files = {"services/things.py": WHOLE, "services/slow.py": "import time\ntime.sleep(3600)\n"}
    app = application(tmp_path / "app", files).path
    with serving(tmp_path, database, GATEWAY_APP=str(app)) as command:
        wait_until(lambda: "worker.import-slow" in command.err)
        [line] = [line for line in command.err.splitlines() if "worker.import-slow" in line]
        assert orjson.loads(line)["module"] == "services.slow"
        command.end(signal.SIGKILL)


def broken_app(folder: Path) -> Path:
    files = {"services/things.py": WHOLE, "services/wrong.py": "\n" + BROKEN}
    return application(folder / "app", files).path


def failures(command: Running) -> list[dict[str, Any]]:
    lines = [orjson.loads(line) for line in command.err.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "worker.start-failed"]


def test_service_that_cannot_be_imported_is_named_once_and_the_port_refuses(
    database: str, tmp_path: Path
) -> None:
    app = broken_app(tmp_path)
    with serving(tmp_path, database, "--workers", "2", GATEWAY_APP=str(app)) as command:
        url = command.url()
        port = int(url.rpartition(":")[2])
        wait_until(lambda: is_refused(port))
        wait_until(lambda: is_refused(int(command.admin().rpartition(":")[2])))
        wait_until(lambda: failures(command))
        seen = set[int]()
        # Several more attempts, with nothing said about them.
        while len(seen) < 4:
            seen |= children_of(command.process.pid)
            assert is_refused(port)
        [line] = failures(command)
        assert line["error"] == (
            f"{app.name}/services/wrong.py:2: ModuleNotFoundError: "
            "No module named 'a_module_that_is_missing'"
        )
        assert "Traceback" not in command.err
        (app / "services" / "wrong.py").write_text(WHOLE)
        wait_until(lambda: is_ready(url))
        assert command.end() == 0


def test_lone_worker_names_a_service_that_cannot_be_imported(database: str, tmp_path: Path) -> None:
    app = broken_app(tmp_path)
    with (tmp_path / "err").open("wb") as err:
        gateway = Gateway(tmp_path, database, err, GATEWAY_APP=str(app))
        assert gateway.process.wait(PATIENCE) == 1
    printed = (tmp_path / "err").read_text()
    assert printed.splitlines()[-1] == (
        f"{app.name}/services/wrong.py:2: ModuleNotFoundError: "
        "No module named 'a_module_that_is_missing'"
    )
    assert "Traceback" not in printed
