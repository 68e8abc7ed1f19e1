"""Streaming replication between two real servers, and a host that swallows every packet."""

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlencode, urlsplit

from gateway.dev.postgres import Cluster, programs
from support.harness import execute

STANDBY_NAMES = "synchronous_standby_names"
"""The setting that names the standbys which commits wait for."""

CATCH_UP = "select pg_last_wal_replay_lsn() >= $1 as has"


class Pair:
    """A primary and a standby that streams from it; both run when the block begins."""

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        self._folder = folder
        self._options = {"fsync": "off", **options}
        self.primary = Cluster(folder / "primary", options=self._options)
        self.standby: Cluster

    def __enter__(self) -> Self:
        self.primary.start()
        self.standby = self._copy("standby")
        self.standby.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.standby.stop()
        self.primary.stop()

    def _copy(self, name: str) -> Cluster:
        """A standby of the primary, which is not started yet."""
        folder = self._folder / name
        folder.mkdir()
        user, owner = programs.server_user()
        host, _ = host_of(self.primary)
        command = [*user, str(programs.find_binaries() / "pg_basebackup")]
        command += ["-h", host, "-p", "5432", "-U", "gateway", "--no-sync", "-c", "fast"]
        subprocess.run([*command, "-D", str(folder / "postgres")], check=True, cwd="/")
        (folder / "postgres" / "standby.signal").touch()
        programs.chown(folder / "postgres", owner)
        conninfo = f"host={host} port=5432 user=gateway application_name={name}"
        return Cluster(folder, options={**self._options, "primary_conninfo": conninfo})

    async def promote(self) -> None:
        """Make the standby a primary; the earlier primary goes on as it is."""
        await execute(self.standby.url(), "select pg_promote()")

    async def caught_up(self) -> None:
        """Wait until the standby has what the primary has."""
        [end] = await execute(self.primary.url(), "select pg_current_wal_lsn() as lsn")
        while not (await execute(self.standby.url(), CATCH_UP, end["lsn"]))[0]["has"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def set_on_server(url: str, setting: str, value: str) -> None:
    """Change a setting of a running server; return when every session has it.

    A server tells its sessions before it starts one with the new value.
    """
    await execute(url, f"alter system set {setting} = '{value}'")
    await execute(url, "select pg_reload_conf()")
    async with asyncio.timeout(10):
        while (await execute(url, f"show {setting}"))[0][0] != value:
            pass


def address(*hosts: tuple[str, str], **options: str) -> str:
    """The address of a database on several hosts, each with its port."""
    host, port = (",".join(part) for part in zip(*hosts, strict=True))
    return "postgresql://gateway@/gateway?" + urlencode({"host": host, "port": port, **options})


def host_of(cluster: Cluster) -> tuple[str, str]:
    """The host and the port of a server: the folder of its socket."""
    return parse_qs(urlsplit(cluster.url()).query)["host"][0], "5432"


@contextlib.contextmanager
def swallower() -> Iterator[tuple[str, str]]:
    """The host and the port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield "127.0.0.1", str(listener.getsockname()[1])
