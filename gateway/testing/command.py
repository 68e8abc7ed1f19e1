"""The real command with several workers, for tests of processes."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2

from gateway.runtime.errors import OperatorError
from gateway.testing.answers import OK

WORKERS = 2
START_TIMEOUT = 120.0
STOP_TIMEOUT = 60.0
_POLL_INTERVAL = 0.05
_URL = re.compile(r"serving on (http://\S+)")


class CommandError(OperatorError):
    """`gateway serve` does not start; the text has what it printed."""


@contextlib.contextmanager
def serving_processes(
    folder: Path, app: Path, database_url: str, mandrill_url: str
) -> Iterator[str]:
    """The address of a `gateway serve` that is ready, for the length of the block.

    Its output is in `folder`. Raises CommandError.
    """
    log = folder / "gateway.log"
    settings = {
        "GATEWAY_APP": str(app.resolve()),
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_DATA_DIR": str(folder),
        "GATEWAY_PORT": "0",
        "GATEWAY_ADMIN_PORT": "0",
        "GATEWAY_MANDRILL_URL": mandrill_url,
        "GATEWAY_MANDRILL_API_KEY": "stand-in",
        # Answers that do not fit come here, where they are compared with the manifest.
        "GATEWAY_CHECK_RETURNS": "none",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--workers", str(WORKERS)],
            env=_without_settings(os.environ) | settings,
            stdout=output,
            stderr=output,
        )
    try:
        yield _wait_until_ready(process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("GATEWAY_")}


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        found = _URL.search(log.read_text())
        if found and _is_ready(found[1]):
            return found[1]
        time.sleep(_POLL_INTERVAL)
    raise CommandError(f"gateway serve is not ready:\n{log.read_text()}")


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/-/ready", timeout=STOP_TIMEOUT, trust_env=False).status_code == OK
    except httpx2.HTTPError:
        return False
