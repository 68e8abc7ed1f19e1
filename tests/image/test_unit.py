"""deploy/gateway.service under systemd, on a machine that is a container."""

import contextlib
from collections.abc import Iterator

import httpx2
import pytest
from support.command import wait_until
from support.containers import (
    SYSTEMD_IMAGE,
    Container,
    container,
    free_port,
    is_ready,
)

DYNAMIC_USERS = range(61184, 65520)
STATE = "/var/lib/plano-gateway"


class Unit:
    """The unit on a machine."""

    def __init__(self, machine: Container, port: int) -> None:
        self.machine = machine
        self.port = port

    def systemctl(self, *arguments: str) -> str:
        return self.machine.execute("systemctl", *arguments)

    def show(self, name: str) -> str:
        """A property of the unit."""
        return self.systemctl("show", "--value", f"--property={name}", "gateway").strip()

    def proc(self, file: str) -> str:
        """A file that the kernel has of the unit's main process."""
        return self.machine.execute("cat", f"/proc/{self.show('MainPID')}/{file}")

    def write(self, path: str, text: str) -> None:
        self.machine.execute("mkdir", "--parents", path.rpartition("/")[0])
        self.machine.execute("tee", path, text=text)


@pytest.fixture
def unit(applied: str) -> Iterator[Unit]:
    """The unit with the database's address as its credential, not started yet."""
    with container("--systemd=always", "--privileged", image=SYSTEMD_IMAGE) as machine:
        # Its exit code is that of the state, such as `starting`; until then there is no bus.
        wait_until(
            lambda: "running" in machine.execute("systemctl", "is-system-running", expected=None)
        )
        unit = Unit(machine, free_port())
        unit.write("/etc/plano-gateway/database_url", applied)
        machine.execute("chmod", "600", "/etc/plano-gateway/database_url")
        yield unit


@contextlib.contextmanager
def started(unit: Unit, **changes: str) -> Iterator[None]:
    """Start the unit; print its log if the block fails."""
    values = {"GATEWAY_PORT": str(unit.port), "GATEWAY_ADMIN_PORT": "0", **changes}
    lines = [f"{name}={value}\n" for name, value in values.items()]
    unit.write("/etc/plano-gateway/gateway.env", "".join(lines))
    try:
        unit.systemctl("start", "gateway")
        yield
    except BaseException:
        command = ("journalctl", "--no-pager", "--unit=gateway", "--lines=50")
        print(unit.machine.execute(*command, expected=None))  # noqa: T201
        raise


@pytest.mark.parametrize("workers", ["1", "2"])
def test_unit_is_started_when_it_serves_and_drains_when_it_stops(unit: Unit, workers: str) -> None:
    with started(unit, GATEWAY_WORKERS=workers, GATEWAY_DRAIN_DELAY="3"):
        assert is_ready(unit.port), "`systemctl start` waits for it"
        unit.systemctl("stop", "--no-block", "gateway")
        wait_until(lambda: not is_ready(unit.port))
        answer = httpx2.get(f"http://127.0.0.1:{unit.port}/nowhere")
        assert answer.headers["connection"] == "close", "it accepts calls during the drain"
        wait_until(lambda: unit.show("ActiveState") == "inactive")
        assert (unit.show("Result"), unit.show("ExecMainStatus")) == ("success", "0")
        assert unit.show("NRestarts") == "0"


def test_unit_has_its_own_user_its_secret_as_a_file_and_no_rights(unit: Unit) -> None:
    with started(unit):
        status = unit.proc("status")
        rights = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
        assert int(rights["Uid"].split()[0]) in DYNAMIC_USERS
        assert int(rights["CapBnd"], 16) == 0
        assert (rights["NoNewPrivs"], rights["Seccomp"]) == ("1", "2")
        variables = dict(
            line.split("=", 1) for line in unit.proc("environ").split("\0") if "=" in line
        )
        assert "GATEWAY_DATABASE_URL" not in variables
        credential = variables["GATEWAY_DATABASE_URL_FILE"]
        assert credential.startswith("/run/credentials/")
        mode = unit.machine.execute("stat", "--format=%a", credential).strip()
        assert int(mode, 8) & 0o007 == 0
        snapshot = unit.machine.execute("stat", "--format=%a %u", f"{STATE}/registry.snapshot")
        assert int(snapshot.split()[1]) in DYNAMIC_USERS


def test_unit_that_hangs_is_replaced_by_the_watchdog(unit: Unit) -> None:
    # As in the unit, but sooner.
    times = "[Service]\nWatchdogSec=5\nTimeoutAbortSec=1\n"
    unit.write("/etc/systemd/system/gateway.service.d/times.conf", times)
    unit.systemctl("daemon-reload")
    with started(unit):
        hung = unit.show("MainPID")
        unit.systemctl("kill", "--kill-whom=main", "--signal=SIGSTOP", "gateway")
        wait_until(lambda: unit.show("NRestarts") == "1")
        wait_until(lambda: is_ready(unit.port))
        assert unit.show("MainPID") not in {hung, "0"}
