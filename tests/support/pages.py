"""The commands of a documentation page, run in one shell, and their outputs made comparable."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from support.command import PATIENCE, environment

EXAMPLE = re.compile(r"```sh\n(.*?)```\n(?:\n```(?:json|text)\n(.*?)```)?", re.DOTALL)
"""A block of commands, and the block of their output if one follows."""

FENCED = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.DOTALL | re.MULTILINE)
"""A fenced block: its language, the file that it is to be saved as, and its text."""

_TIME = re.compile(r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?\+00:00")
_MADE = {"id", "user_id", "token", "request_id"}
"""Keys whose values differ from run to run."""


def _same_shape(value: Any, key: str = "") -> Any:
    """A value without what differs from run to run."""
    if isinstance(value, dict):
        return {name: _same_shape(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_same_shape(inner) for inner in value]
    if key in _MADE:
        return type(value).__name__
    return "TIME" if isinstance(value, str) and _TIME.fullmatch(value) else value


def blurred(text: str) -> str:
    """An output, comparable: JSON with its keys in their order, anything else line by line."""
    if text.startswith("{"):
        shape = _same_shape(orjson.loads(text))
        return orjson.dumps(shape, option=orjson.OPT_INDENT_2).decode()
    return "\n".join(line.rstrip() for line in _TIME.sub("TIME", text).splitlines() if line.strip())


def printed(commands: list[str], folder: Path, *programs: Path, **changes: str) -> list[str]:
    """What each block of commands prints, all in one shell as a reader would paste them.

    `programs` are folders of programs that the page expects, besides the gateway. Every command
    must succeed and print nothing on standard error.
    """
    script = "set -e\n" + "".join(f"{block}\nprintf '\\0'\n" for block in commands)
    folders = [Path(sys.executable).parent, *programs, os.environ["PATH"]]
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment(PATH=os.pathsep.join(map(str, folders)), **changes),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.split("\0")[:-1]
