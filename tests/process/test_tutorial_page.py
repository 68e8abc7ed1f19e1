"""The tutorial, done as a reader does it: each file saved, each command run in one folder."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from support.command import Running, running, servers_of
from support.harness import ROOT
from support.pages import FENCED

PAGE = (ROOT / "docs" / "tutorial" / "first-service.md").read_text()
DOCUMENTED_URL = "http://127.0.0.1:8000"
COMMAND = "make run"

_ASSIGNMENT = re.compile(r"^[A-Z]+=.*$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of the page; `title` is the file that it is to be saved as."""

    language: str
    title: str
    text: str


def answers(text: str) -> list[Any]:
    """The JSON values of a text, one after the other, each without its request id."""
    decoder, values, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        value.pop("request_id", None)
        values.append(value)
        rest = rest[end:].strip()
    return values


class Reader:
    """A reader in a folder with the manifest, the schemas and the services."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(ROOT / "routes.yaml", folder)
        for name in ("schemas", "services"):
            shutil.copytree(ROOT / name, folder / name)
        self.manifest = yaml.safe_load((folder / "routes.yaml").read_text())
        self.assignments: list[str] = []

    def save(self, name: str, text: str) -> None:
        """Save a file; entries of the manifest are put beside those it has."""
        file = self.folder / name
        if name == "routes.yaml":
            for key, entries in yaml.safe_load(text).items():
                self.manifest[key] |= entries
            text = yaml.safe_dump(self.manifest, sort_keys=False)
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def run(self, command: str, url: str) -> str:
        """What a block of commands prints, with the variables of the blocks before."""
        script = "\n".join([*self.assignments, command]).replace(DOCUMENTED_URL, url)
        self.assignments += _ASSIGNMENT.findall(command)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", f"set -e\n{script}"],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        return done.stdout


def runs_of_the_gateway() -> Iterator[list[Block]]:
    """The blocks of the page, from one start of the gateway to the next."""
    blocks: list[Block] = []
    for block in (Block(*groups) for groups in FENCED.findall(PAGE)):
        if block.text.strip() == COMMAND:
            yield blocks
            blocks = []
        else:
            blocks.append(block)
    yield blocks


def follow(reader: Reader, command: Running, blocks: list[Block]) -> int:
    """Do what the blocks say; answer how many outputs were as the page has them."""
    outputs, printed = 0, ""
    for language, title, text in blocks:
        if title:
            reader.save(title, text)
        elif language == "sh":
            printed = reader.run(text, command.url())
        elif language == "json":
            assert answers(printed) == answers(text)
            outputs += 1
        else:
            command.wait_for(re.escape(text.strip()).replace(r"\ ", r" +"))
            outputs += 1
    return outputs


def test_the_tutorial_works_as_it_stands(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    before, *runs = runs_of_the_gateway()
    outputs = 0
    assert before == []
    try:
        for blocks in runs:
            with running("dev", cwd=tmp_path) as command:
                outputs += follow(reader, command, blocks)
                assert command.end(signal.SIGINT) == 0
    finally:
        for server in servers_of(tmp_path):
            os.kill(server, signal.SIGQUIT)
    assert (len(runs), outputs) == (2, 10)
