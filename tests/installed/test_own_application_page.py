"""The tutorial of an application of one's own, done with the built wheel in an empty folder.

`make test-installed` runs it: it installs the wheel with its dependencies as a reader does. It
prints how long each step took.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.command import Running, servers_of, started
from support.harness import ROOT
from support.pages import FENCED

PAGE = (ROOT / "docs" / "tutorial" / "own-application.md").read_text()
DOCUMENTED_URL = "http://127.0.0.1:8000"
SERVER = "gateway dev"
ACTIVATE = ". .venv/bin/activate"
APPENDED = "at the end of "

_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of the page; `title` is the file that it is to be saved as."""

    section: str
    language: str
    title: str
    text: str


def blocks() -> Iterator[Block]:
    _, *parts = _SECTION.split(PAGE)
    for section, text in zip(parts[::2], parts[1::2], strict=True):
        for groups in FENCED.findall(text):
            yield Block(section, *groups)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this repository."""
    folder = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


class Reader:
    """A reader in an empty folder, who does what the blocks say one after the other."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.folder = folder
        self.outputs = 0
        self.seconds: dict[str, float] = {}
        self._stack = contextlib.ExitStack()
        self._server: Running | None = None
        self._printed = ""
        self._said: list[str] = []
        self._variables = _variables(wheels)

    def follow(self) -> None:
        for block in blocks():
            began = time.monotonic()
            self._do(block)
            spent = time.monotonic() - began
            self.seconds[block.section] = self.seconds.get(block.section, 0.0) + spent

    def stop(self) -> int:
        assert self._server
        return self._server.end(signal.SIGINT)

    def close(self) -> None:
        self._stack.close()

    def _do(self, block: Block) -> None:
        if block.title:
            self._save(block.title, block.text)
        elif block.language == "sh":
            self._run(block.text)
        elif block.language == "json":
            assert json.loads(self._printed) == json.loads(block.text)
            self.outputs += 1
        else:
            assert block.text.strip() in self._printed, self._printed
            self.outputs += 1

    def _save(self, title: str, text: str) -> None:
        file = self.folder / title.removeprefix(APPENDED)
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.read_text() if title.startswith(APPENDED) else ""
        file.write_text(before + text)

    def _run(self, text: str) -> None:
        """Run a block in a shell that remembers the variables of the blocks before."""
        if text.strip() == SERVER:
            command = ["bash", "-c", f"{ACTIVATE} && exec {SERVER}"]
            self._server = self._stack.enter_context(started(command, self.folder, self._variables))
            return
        url = self._server.url() if self._server else DOCUMENTED_URL
        script = "\n".join(["set -e", *self._said, text]).replace(DOCUMENTED_URL, url)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self._variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self._printed = done.stdout
        self._said += re.findall(r"^(?:export )?[A-Z_]+=.*$|^\. .*$", text, re.MULTILINE)


def _variables(wheels: Path) -> dict[str, str]:
    """The environment of a reader whose pip also finds the wheel, and nothing of this project."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GATEWAY_", "PYTEST_", "PYTHON", "VIRTUAL_ENV"))
    }
    links = f"{wheels} {kept.get('PIP_FIND_LINKS', '')}".strip()
    return {
        **kept,
        "PYTHONPATH": "",
        "PIP_FIND_LINKS": links,
        "GATEWAY_PORT": "0",
        "GATEWAY_ADMIN_PORT": "0",
    }


def test_page_works_with_the_wheel_in_an_empty_folder(tmp_path: Path, wheels: Path) -> None:
    reader = Reader(tmp_path, wheels)
    try:
        reader.follow()
        assert reader.stop() == 0
    finally:
        reader.close()
        for server in servers_of(tmp_path):
            os.kill(server, signal.SIGQUIT)
    for section, seconds in reader.seconds.items():
        sys.stdout.write(f"{section}: {seconds:.1f} s\n")
    assert reader.outputs == 7
