"""What a `gateway` command imports, for tests of how fast it starts."""

import re
import subprocess
import sys
from pathlib import Path

from support.command import environment

HEAVY = {
    *("asyncpg", "jsonschema", "jsonschema_rs", "prometheus_client", "requests", "rich"),
    *("starlette", "uvicorn", "uvloop", "yaml"),
}
"""Packages that are imported only by the verbs that use them."""


def imports_of(folder: Path, *args: str, **changes: str) -> tuple[set[str], str]:
    """The top-level packages that a command imports, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gateway", *args],
        cwd=folder,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"^import time: .*\| +(\w+)", done.stderr, re.MULTILINE)), done.stdout
