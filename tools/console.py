"""Runs the commands of a page and writes below each what it prints.

`python tools/console.py docs/how-to/operate-the-registry.md` starts an embedded PostgreSQL, runs
every line that begins with `$ ` inside a ```console block, in order, in a copy of the
application, and rewrites the page. Times and random ids are replaced by fixed ones, so that a page
changes only where an output does.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gateway.dev.postgres import Cluster

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"(```console\n)(.*?)(```)", re.DOTALL)
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00")


def rewritten(page: Path) -> str:
    """A page's text with the real output of its commands."""
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "pg") as cluster:
        work = Path(folder) / "work"
        work.mkdir()
        shutil.copy(ROOT / "routes.yaml", work)
        for name in ("schemas", "services"):
            shutil.copytree(ROOT / name, work / name)
        session = _Session(work, cluster.url())
        return _BLOCK.sub(
            lambda match: match[1] + session.run(match[2]) + match[3], page.read_text()
        )


class _Session:
    """A shell in a folder, command by command."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")
        }
        self._environment = {
            **kept,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "GATEWAY_DATABASE_URL": database_url,
        }

    def run(self, block: str) -> str:
        """The commands of a block, each with its output and an exit code that is not 0."""
        commands = [line for line in block.splitlines() if line.startswith("$ ")]
        return "".join(f"{command}\n{self._output(command[2:])}" for command in commands)

    def _output(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        output = _TIME.sub("2026-11-21 08:00:00+00:00", done.stdout)
        output = _UID.sub("6b1f0c52-8f0e-4c1b-9d3a-5f2e7a904c18", output)
        lines = [line.rstrip() for line in output.splitlines()]
        code = [f"(exit code {done.returncode})"] if done.returncode else []
        return "".join(f"{line}\n" for line in [*lines, *code] if line)


def main() -> None:
    """Rewrite the pages that are named."""
    for name in sys.argv[1:]:
        page = Path(name)
        page.write_text(rewritten(page))


if __name__ == "__main__":
    main()
