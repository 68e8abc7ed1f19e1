"""Containers of podman on this machine's network, with the images that `tools/build-image` made."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import anyio.from_thread
import httpx2

from support.command import OK, PATIENCE, wait_until
from support.harness import ROOT
from support.proxies import Proxy

IMAGE = "localhost/plano-gateway:test"
SYSTEMD_IMAGE = "localhost/plano-gateway-systemd:test"
CONFIGURATION = ROOT / "tests" / "image" / "containers.conf"
HARDENED = (
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop=all"),
    *("--security-opt=no-new-privileges", "--memory=512m", "--init"),
)
"""As deploy/compose.yaml and the chart run the image."""


def podman(*arguments: str, text: str = "", expected: int | None = 0) -> str:
    """Run podman; return its output. `expected` is its exit code, or None for any."""
    result = subprocess.run(
        ["podman", *arguments],
        input=text,
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "CONTAINERS_CONF": str(CONFIGURATION)},
    )
    assert expected in {None, result.returncode}, f"{arguments}: {result.stdout}{result.stderr}"
    return result.stdout


def free_port() -> int:
    """A port that no program listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Container:
    """A container that runs, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def inspect(self) -> dict[str, Any]:
        """What podman says of it."""
        [details] = json.loads(podman("container", "inspect", self.name))
        found: dict[str, Any] = details
        return found

    @property
    def is_running(self) -> bool:
        """Whether its first process runs."""
        return bool(self.inspect()["State"]["Running"])

    def execute(self, *command: str, text: str = "", expected: int | None = 0) -> str:
        """Run a command inside; return its output."""
        return podman("exec", "--interactive", self.name, *command, text=text, expected=expected)

    def logs(self) -> str:
        """What it wrote to standard output and standard error."""
        result = subprocess.run(
            ["podman", "logs", self.name], capture_output=True, check=True, text=True
        )
        return result.stdout + result.stderr

    def signal(self, name: str) -> None:
        """Send a signal to its first process."""
        podman("kill", f"--signal={name}", self.name)

    def wait(self) -> int:
        """Wait until it ends; return its exit code."""
        return int(podman("wait", self.name))


@contextlib.contextmanager
def container(
    *options: str, command: Sequence[str] = (), image: str = IMAGE
) -> Iterator[Container]:
    """Run a container for the length of the block."""
    name = f"plano-test-{secrets.token_hex(4)}"
    podman("run", "--detach", "--name", name, "--network=host", *options, image, *command)
    try:
        yield Container(name)
    finally:
        # One step after the other: `podman rm --force` fails if the container ends meanwhile.
        podman("kill", name, expected=None)
        podman("wait", name)
        podman("rm", "--volumes", name)


@contextlib.contextmanager
def volume() -> Iterator[str]:
    """The name of a volume that exists for the length of the block."""
    name = f"plano-test-{secrets.token_hex(4)}"
    podman("volume", "create", name)
    try:
        yield name
    finally:
        podman("volume", "rm", "--force", name)


@contextlib.contextmanager
def over_tcp(url: str) -> Iterator[str]:
    """The address of a server by TCP; nothing listens there after the block."""
    proxy = Proxy(url)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(proxy.running()),
    ):
        yield proxy.url


def settings(**changes: str) -> list[str]:
    """Options that give a container settings."""
    return [f"--env={name}={value}" for name, value in changes.items()]


def once(database: str, *command: str) -> str:
    """Run a command in a container of its own, as the deploy page does; return its output."""
    database_url = settings(GATEWAY_DATABASE_URL=database)
    return podman(
        "run", "--rm", "--network=host", *HARDENED, "--tmpfs=/tmp", *database_url, IMAGE, *command
    )


def is_ready(port: int) -> bool:
    """Whether a gateway on this port is ready."""
    return _code(port, "/-/ready") == OK


def _code(port: int, path: str) -> int:
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(f"http://127.0.0.1:{port}{path}").status_code
    return 0


def wait_until_ready(port: int) -> None:
    """Wait until a gateway on this port is ready."""
    wait_until(lambda: is_ready(port))
