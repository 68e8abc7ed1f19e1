"""The three machines of the database: etcd, Patroni and PostgreSQL on each."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import httpx2

from failover.configuration import fill, read_environment, variables
from failover.network import Machine
from gateway.database.connect import Connection, connect
from gateway.database.errors import DatabaseError
from gateway.dev.postgres import programs

PASSWORDS = {
    "PATRONI_SUPERUSER_PASSWORD": "of the superuser",
    "PATRONI_REPLICATION_PASSWORD": "of the standbys",
}
GATEWAY_PASSWORD = "of-the-gateway"
START_TIMEOUT = 90.0
RECOVERY_TIMEOUT = 180.0
REQUEST_TIMEOUT = 2.0
POLL_INTERVAL = 0.05
LONG_REQUEST_TIMEOUT = 60.0

Work: TypeAlias = Callable[[Connection], Awaitable[Any]]


class Nodes:
    """The nodes by name; `is_synchronous` decides whether a commit waits for a standby."""

    def __init__(self, folder: Path, *, is_synchronous: bool) -> None:
        self.machines = {
            name: Machine(name, 10 + number, folder / name)
            for number, name in enumerate(("db1", "db2", "db3"), 1)
        }
        self._is_synchronous = is_synchronous
        self._variables = {
            name: variables(name, machine.folder, programs.find_binaries())
            for name, machine in self.machines.items()
        }

    async def start(self) -> None:
        """Start all nodes; return when a primary accepts writes and each standby follows it."""
        for name in self.machines:
            self.start_etcd(name)
        await asyncio.to_thread(self._write_configurations)
        for name in self.machines:
            self.start_patroni(name)
        await self.wait_until_whole(START_TIMEOUT)
        await self.run(_create_database, "postgres", "postgres")

    def start_etcd(self, name: str) -> None:
        """Start etcd on a node."""
        machine = self.machines[name]
        environment = read_environment(fill("etcd.env", self._variables[name]))
        machine.start("etcd.log", ["etcd"], environment)

    def start_patroni(self, name: str) -> None:
        """Start Patroni on a node, which starts PostgreSQL."""
        machine = self.machines[name]
        command = ["patroni", str(machine.folder / "patroni.yml")]
        machine.start("patroni.log", command, PASSWORDS, is_unprivileged=True)

    def restart(self, name: str) -> None:
        """Start what runs on a node, after all of its processes were killed."""
        self.start_etcd(name)
        self.start_patroni(name)

    async def primary(self) -> str:
        """The name of the primary, once there is one. Raises TimeoutError."""
        async with asyncio.timeout(RECOVERY_TIMEOUT):
            while True:
                if name := await self.primary_besides(""):
                    return name
                await asyncio.sleep(POLL_INTERVAL)

    async def primary_besides(self, former: str) -> str | None:
        """The name of the node that is primary now, if it is another one than the former."""
        names = [name for name in self.machines if name != former]
        answers = await asyncio.gather(*(self._answers(name, "primary") for name in names))
        return next((name for name, is_one in zip(names, answers, strict=True) if is_one), None)

    async def wait_for_another(self, former: str) -> None:
        """Wait until another node than the former is the primary."""
        while await self.primary_besides(former) is None:  # noqa: ASYNC110
            await asyncio.sleep(POLL_INTERVAL)

    async def wait_until_whole(self, seconds: float = RECOVERY_TIMEOUT) -> None:
        """Wait until there is a primary, two standbys follow it, and one of them synchronously."""
        standbys = {"sync_standby", "quorum_standby"} if self._is_synchronous else {"replica"}
        deadline = time.monotonic() + seconds
        while True:
            members = await self.members()
            running = [one for one in members if one["state"] in {"running", "streaming"}]
            roles = {one["role"] for one in running}
            if len(running) == len(self.machines) and "leader" in roles and roles & standbys:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"the database is not whole: {members}")
            await asyncio.sleep(POLL_INTERVAL)

    async def members(self) -> list[dict[str, Any]]:
        """What Patroni says of the members of the cluster; empty if no node answers."""
        for name in self.machines:
            with contextlib.suppress(httpx2.HTTPError):
                answer = await self._ask("GET", name, "cluster", REQUEST_TIMEOUT)
                if answer.status_code == 200:
                    members: list[dict[str, Any]] = answer.json()["members"]
                    return members
        return []

    async def standby(self) -> str:
        """The name of the standby that may take over."""
        async with asyncio.timeout(RECOVERY_TIMEOUT):
            while True:
                for member in await self.members():
                    wanted = "sync_standby" if self._is_synchronous else "replica"
                    if member["role"] == wanted:
                        return str(member["name"])
                await asyncio.sleep(POLL_INTERVAL)

    async def switch_over(self) -> None:
        """Let the standby take over while both machines work, as before an upgrade."""
        primary, standby = await self.primary(), await self.standby()
        change = {"leader": primary, "candidate": standby}
        answer = await self._ask("POST", primary, "switchover", LONG_REQUEST_TIMEOUT, change)
        if answer.status_code != 200:
            raise RuntimeError(f"no switchover: {answer.text}")

    async def etcd_leader(self) -> str:
        """The name of the node that leads etcd, once there is one. Raises TimeoutError."""
        async with asyncio.timeout(RECOVERY_TIMEOUT):
            while True:
                for name in self.machines:
                    if await self._leads_etcd(name):
                        return name
                await asyncio.sleep(POLL_INTERVAL)

    async def make_etcd_leader(self, name: str) -> None:
        """Let the etcd of this node lead. Raises TimeoutError."""
        member = (await self._ask_etcd(name, "status"))["header"]["member_id"]
        leader = await self.etcd_leader()
        if leader != name:
            await self._ask_etcd(leader, "transfer-leadership", targetID=member)
        async with asyncio.timeout(RECOVERY_TIMEOUT):
            while await self.etcd_leader() != name:  # noqa: ASYNC110
                await asyncio.sleep(POLL_INTERVAL)

    async def _leads_etcd(self, name: str) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            answer = await self._ask_etcd(name, "status")
            leader: str | None = answer.get("leader")
            return leader is not None and leader == answer["header"]["member_id"]
        return False

    async def _ask_etcd(self, name: str, request: str, **params: str) -> Any:
        url = f"http://{self.machines[name].address}:2379/v3/maintenance/{request}"
        async with httpx2.AsyncClient(timeout=REQUEST_TIMEOUT, verify=False) as http:
            return (await http.post(url, json=params)).json()

    @contextlib.asynccontextmanager
    async def connected(
        self, user: str = "gateway", database: str = "gateway"
    ) -> AsyncIterator[Connection]:
        """A connection to the primary for the length of the block, without pooler and proxy."""
        connection = await self._connect(user, database)
        try:
            yield connection
        finally:
            await connection.close(timeout=1)

    async def run(self, work: Work, user: str = "gateway", database: str = "gateway") -> Any:
        """Run some work on a connection of its own."""
        async with self.connected(user, database) as connection:
            return await work(connection)

    async def address(self, user: str = "gateway", database: str = "gateway") -> str:
        """The address of a database of the primary."""
        machine = self.machines[await self.primary()]
        password = GATEWAY_PASSWORD
        if user == "postgres":
            password = PASSWORDS["PATRONI_SUPERUSER_PASSWORD"].replace(" ", "%20")
        return f"postgresql://{user}:{password}@{machine.address}:5432/{database}"

    async def _connect(self, user: str, database: str) -> Connection:
        async with asyncio.timeout(RECOVERY_TIMEOUT):
            while True:
                try:
                    return await connect(await self.address(user, database))
                except DatabaseError:
                    await asyncio.sleep(POLL_INTERVAL)

    def _write_configurations(self) -> None:
        for name, machine in self.machines.items():
            text = fill("patroni.yml", self._variables[name])
            if not self._is_synchronous:
                text = re.sub("synchronous_mode: true", "synchronous_mode: false", text)
            (machine.folder / "patroni.yml").write_text(text)

    async def _answers(self, name: str, path: str) -> bool:
        """Whether Patroni on a node answers 200."""
        with contextlib.suppress(httpx2.HTTPError):
            return (await self._ask("GET", name, path, REQUEST_TIMEOUT)).status_code == 200
        return False

    async def _ask(
        self, method: str, name: str, path: str, seconds: float, body: Any = None
    ) -> httpx2.Response:
        url = f"http://{self.machines[name].address}:8008/{path}"
        # The check of certificates, which nothing here has, is what costs most of a client.
        async with httpx2.AsyncClient(timeout=seconds, verify=False) as http:
            return await http.request(method, url, json=body)


async def _create_database(db: Connection) -> None:
    """Create the gateway's role and its database, as the README of `deploy/ha` says."""
    await db.execute(f"create role gateway login password '{GATEWAY_PASSWORD}'")
    await db.execute("create database gateway owner gateway")
