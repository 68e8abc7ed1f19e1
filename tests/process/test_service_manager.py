"""systemd's protocol on a real datagram socket, and workers that hang."""

import os
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from support.command import PATIENCE, children_of, running, wait_until

from gateway.serve.service_manager import ServiceManager
from gateway.serve.supervisor_link import SupervisorLink, WorkerLink


class Manager:
    """The end of systemd; `address` is for NOTIFY_SOCKET. The name is abstract, since short."""

    def __init__(self) -> None:
        name = f"plano-test-{secrets.token_hex(8)}"
        self.address = f"@{name}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name}")
        self._socket.settimeout(PATIENCE)

    def receive(self) -> str:
        """The next message."""
        return self._socket.recv(4096).decode()

    def until(self, message: str) -> list[str]:
        """The messages before the next one with this text."""
        return [*iter(self.receive, message)]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    manager = Manager()
    yield manager
    manager.close()


def serving(folder: Path, database: str, workers: int, **changes: str) -> Any:
    arguments = ("serve", "--workers", str(workers))
    return running(*arguments, cwd=folder, GATEWAY_DATABASE_URL=database, **changes)


def code(url: str) -> int:
    return httpx2.get(f"{url}/-/ready").status_code


@pytest.mark.parametrize("workers", [1, 2])
def test_service_manager_hears_of_the_start_of_life_and_of_the_end(
    database: str, tmp_path: Path, manager: Manager, workers: int
) -> None:
    watchdog = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000"}
    with serving(tmp_path, database, workers, **watchdog) as command:
        assert set(manager.until("READY=1")) <= {"WATCHDOG=1"}
        assert code(command.url()) == 200
        assert manager.until("WATCHDOG=1") == []
        command.process.send_signal(signal.SIGTERM)
        assert set(manager.until("STOPPING=1")) <= {"WATCHDOG=1"}
        assert command.end() == 0


def test_service_manager_without_a_watchdog_gets_no_sign_of_life(
    database: str, tmp_path: Path, manager: Manager
) -> None:
    # The watchdog is that of another process, such as a shell that started this one.
    watchdog = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    with serving(tmp_path, database, 1, **watchdog) as command:
        assert manager.until("READY=1") == []
        command.process.send_signal(signal.SIGTERM)
        assert manager.until("STOPPING=1") == []
        assert command.end() == 0


def test_service_manager_that_is_gone_stops_nothing(database: str, tmp_path: Path) -> None:
    missing = {"NOTIFY_SOCKET": str(tmp_path / "missing"), "WATCHDOG_USEC": "30000000"}
    with serving(tmp_path, database, 1, **missing) as command:
        wait_until(lambda: code(command.url()) == 200)
        assert command.end() == 0


def test_service_manager_is_hidden_from_children(tmp_path: Path) -> None:
    names = {"NOTIFY_SOCKET": str(tmp_path), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    environment = {**names, "PATH": "/bin"}
    manager = ServiceManager.take(environment)
    assert manager
    manager._socket.close()
    assert environment == {"PATH": "/bin"}
    assert ServiceManager.take(environment) is None


def test_worker_that_hangs_is_replaced(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, database, 2, GATEWAY_HANG_TIMEOUT="5") as command:
        url = command.url()
        wait_until(lambda: code(url) == 200 and len(children_of(command.process.pid)) == 2)
        before = children_of(command.process.pid)
        # Only a worker that has served is known to hang; wait until both have.
        wait_until(lambda: {pid_of(command.admin()) for _ in range(20)} == before)
        hung = min(before)
        os.kill(hung, signal.SIGSTOP)
        wait_until(lambda: hung not in children_of(command.process.pid))
        wait_until(lambda: len(children_of(command.process.pid)) == 2)
        lines = [orjson.loads(line) for line in command.err.splitlines() if line.startswith("{")]
        [event] = [line for line in lines if line["event"] == "worker.hung"]
        assert (event["pid"], event["seconds"]) == (hung, 5)
        assert before - {hung} < children_of(command.process.pid), "the other one is alive"
        wait_until(lambda: code(url) == 200)
        assert command.end() == 0


def pid_of(admin: str) -> int:
    """The worker that answers on a new connection; its name ends with its process id."""
    name: str = httpx2.get(f"{admin}/-/ready").json()["worker"]
    return int(name.rpartition(":")[2])


def test_worker_link_counts_the_silence_of_a_worker_that_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Its thread would end this process with the link.
    monkeypatch.setattr(SupervisorLink, "_watch", lambda _: None)
    link = WorkerLink()
    worker = SupervisorLink(os.dup(link.inherited))
    link.close_inherited()

    def turns(number: int) -> int:
        for _ in range(number):
            link.read()
        return link.silent_turns

    worker.report_stopping()
    assert turns(3) == 0, "it does not serve yet"
    worker.report_ready()
    assert (turns(1), link.is_ready) == (0, True)
    assert turns(3) == 3
    worker.report_alive()
    assert (turns(1), link.is_ready, link.failure) == (0, True, "")
    worker.report_stopping()
    assert turns(4) == 0, "it stops"
    worker._socket.close()
    link.close()
