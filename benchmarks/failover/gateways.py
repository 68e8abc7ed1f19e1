"""The machines of the gateways, each with its HAProxy, PgBouncer and `gateway serve`."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from chaos.connection import Connection, HttpAnswer, LostError, request

from failover.configuration import CALLERS_ADDRESS, ROOT, fill, read_environment, variables
from failover.network import Machine
from failover.nodes import GATEWAY_PASSWORD

PORT = 8000
READY_TIMEOUT = 60.0
GET_TIMEOUT = 2.0
STOP_TIMEOUT = 90.0
POLL_INTERVAL = 0.1
CHECKS = 8
"""New connections that ask for readiness at once, so that each worker gets some."""

POOLER = f"postgresql://gateway:{GATEWAY_PASSWORD}@127.0.0.1:6432/gateway?application_name=gateway"
PRIMARY = f"postgresql://gateway:{GATEWAY_PASSWORD}@127.0.0.1:5432/gateway"
SETTINGS = {
    "GATEWAY_DATABASE_URL": POOLER,
    "GATEWAY_LISTEN_DATABASE_URL": PRIMARY,
    "GATEWAY_APP": str(ROOT),
    "GATEWAY_MANDRILL_API_KEY": "failover",
}
SERVE = "gateway serve"
"""What the command of a gateway's processes contains."""


class Gateway:
    """One machine; `mandrill_url` is where its mail goes."""

    def __init__(self, number: int, folder: Path, mandrill_url: str) -> None:
        name = f"gateway{number}"
        self.machine = Machine(name, 20 + number, folder / name)
        values = variables(name, self.machine.folder, Path("/"))
        self._settings = {
            **SETTINGS,
            **read_environment(fill("gateway.env", values)),
            "GATEWAY_ADMIN_HOST": self.machine.address,
            "GATEWAY_DATA_DIR": str(self.machine.folder / "gateway"),
            "GATEWAY_MANDRILL_URL": mandrill_url,
            "TMPDIR": str(self.machine.folder),
        }
        self._write_configuration(values)

    def start_proxies(self) -> None:
        """Start the two programs between the gateway and PostgreSQL."""
        file = str(self.machine.folder / "haproxy-postgres.cfg")
        self.machine.start("haproxy.log", ["haproxy", "-f", file])
        self.start_pgbouncer()

    def start_pgbouncer(self) -> None:
        """Start PgBouncer."""
        command = ["pgbouncer", str(self.machine.folder / "pgbouncer.ini")]
        self.machine.start("pgbouncer.log", command, is_unprivileged=True)

    async def command(self, *words: str) -> None:
        """Run a command of the gateway on this machine. Raises RuntimeError."""
        process = self.machine.start("commands.log", _gateway(*words), self._environment())
        if await asyncio.to_thread(process.wait) != 0:
            log = (self.machine.folder / "commands.log").read_text()
            raise RuntimeError(f"gateway {' '.join(words)} failed: {log}")

    async def start(self) -> None:
        """Start the gateway, and return when all of its workers are ready."""
        self._process = self.machine.start("gateway.log", _gateway("serve"), self._environment())
        await self.wait_until_ready()

    async def stop(self) -> int:
        """Stop the gateway as systemd does; return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, STOP_TIMEOUT)

    def kill(self) -> None:
        """Kill the gateway and its workers."""
        self.machine.kill(SERVE)
        self._process.wait()

    @property
    def has_ended(self) -> bool:
        """Whether the gateway has ended."""
        return self._process.poll() is not None

    def ended_workers(self) -> int:
        """How often a worker has ended by itself or hung, according to the log."""
        log = (self.machine.folder / "gateway.log").read_text(errors="replace")
        return log.count('"worker.ended"') + log.count('"worker.hung"')

    async def wait_until_ready(self, query: str = "") -> None:
        """Wait until `/-/ready` is 200 on several new connections. Raises TimeoutError."""
        deadline = time.monotonic() + READY_TIMEOUT
        while not all(await asyncio.gather(*(self._is_ready(query) for _ in range(CHECKS)))):
            if time.monotonic() > deadline or self.has_ended:
                raise TimeoutError(f"{self.machine.name} does not become ready")
            await asyncio.sleep(POLL_INTERVAL)

    async def _is_ready(self, query: str) -> bool:
        answer = await get(self.machine.address, f"/-/ready{query}")
        return answer is not None and answer.code == 200

    def _environment(self) -> dict[str, str]:
        others = {name: "" for name in os.environ if name.startswith("GATEWAY_")}
        return {**others, **self._settings}

    def _write_configuration(self, values: Mapping[str, str]) -> None:
        folder = self.machine.folder
        for file in ("haproxy-postgres.cfg", "pgbouncer.ini"):
            (folder / file).write_text(fill(file, values))
        (folder / "userlist.txt").write_text(f'"gateway" "{GATEWAY_PASSWORD}"\n')


class Balancer:
    """HAProxy in front of the gateways, and keepalived, which gives it the callers' address."""

    def __init__(self, number: int, folder: Path) -> None:
        name = f"balancer{number}"
        self.machine = Machine(name, 30 + number, folder / name)
        values = variables(name, self.machine.folder, Path("/"))
        for file in ("haproxy-gateways.cfg", "keepalived.conf"):
            (self.machine.folder / file).write_text(fill(file, values))

    def has_callers(self) -> bool:
        """Whether this machine has the callers' address."""
        return self.machine.has(CALLERS_ADDRESS)

    def start(self) -> None:
        """Start both programs."""
        folder = self.machine.folder
        self.machine.start("haproxy.log", ["haproxy", "-f", str(folder / "haproxy-gateways.cfg")])
        # It looks for one of its files beside its path.
        program = shutil.which("keepalived") or "keepalived"
        command = [program, "--dont-fork", "--log-console", "--no-syslog", "--vrrp"]
        files = {
            "-f": "keepalived.conf",
            "-p": "keepalived.pid",
            "-r": "vrrp.pid",
            # Not used, and locked even so: the two balancers share /run.
            "-b": "bfd.pid",
            "-c": "checkers.pid",
        }
        paths = [part for flag, name in files.items() for part in (flag, str(folder / name))]
        self.machine.start("keepalived.log", [*command, *paths])


async def wait_until_reachable() -> None:
    """Wait until a gateway with its database answers at the callers' address."""
    async with asyncio.timeout(READY_TIMEOUT):
        while True:
            answer = await get(CALLERS_ADDRESS, "/-/ready?database")
            if answer and answer.code == 200:
                return
            await asyncio.sleep(POLL_INTERVAL)


async def get(address: str, path: str) -> HttpAnswer | None:
    """The answer to a GET on a new connection; None if there is none in time."""
    client = Connection(lambda: PORT, address)
    try:
        async with asyncio.timeout(GET_TIMEOUT):
            return await client.ask(request("GET", path))
    except (LostError, TimeoutError):
        return None
    finally:
        client.close()


def _gateway(*words: str) -> list[str]:
    return [sys.executable, "-m", "gateway", *words]
