"""`gateway dev` in a folder of its own, and calls of it with the demo's tokens."""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson

from gateway.dev.postgres import Cluster
from support.command import Running, running, servers_of
from support.harness import ROOT


def copy_manifest(folder: Path) -> Path:
    """Copy the repository's application into a folder."""
    shutil.copy(ROOT / "routes.yaml", folder)
    for name in ("schemas", "services"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


@functools.cache
def _new_server() -> Path:
    """A folder with a server that has only been made: initdb takes seconds of processor time."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-dev-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with Cluster(folder, options={"fsync": "off"}):
        pass
    return folder


@contextlib.contextmanager
def developing(folder: Path, *args: str, **changes: str) -> Iterator[Running]:
    """Run a `gateway dev` that is ready; its PostgreSQL is stopped in any case."""
    data = folder / ".gateway" / "postgres"
    starts_server = not ({"GATEWAY_DATABASE_URL", "--database-url"} & {*args, *changes})
    if starts_server and not data.exists():
        shutil.copytree(_new_server() / "postgres", data)
    try:
        with running("dev", *args, cwd=folder, **changes) as command:
            command.url()
            yield command
    finally:
        for server in servers_of(folder):
            os.kill(server, signal.SIGQUIT)


def dev_json(folder: Path) -> Any:
    """The content of `dev.json`."""
    return orjson.loads((folder / ".gateway" / "dev.json").read_bytes())


def post(folder: Path, route: str, caller: str = "employee", **params: Any) -> httpx2.Response:
    dev = dev_json(folder)
    body = {"token": dev["tokens"][caller], **params}
    return httpx2.post(f"{dev['url']}/api/v1/{route}", json=body)


def status(folder: Path, route: str, caller: str = "employee", **params: Any) -> str:
    slug: str = post(folder, route, caller, **params).json()["status"]
    return slug


def create(folder: Path, caller: str = "employee") -> httpx2.Response:
    return post(
        folder, "order_stages/create", caller, order_id=7, update_status=True, stage="scheduled"
    )
