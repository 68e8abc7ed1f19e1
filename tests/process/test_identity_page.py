"""The page on identity: all its commands, run in one shell, have the answers on it."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.command import environment
from support.harness import ROOT, settings
from support.servers import listening

from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.settings import SETTINGS

PAGE = (ROOT / "docs" / "how-to" / "users-and-tokens.md").read_text()
RULES = (ROOT / "docs" / "reference" / "identity.md").read_text()
DOCUMENTED_URL = "http://127.0.0.1:8000"
MIN_EXAMPLES = 17

_EXAMPLE = re.compile(r"```sh\n(.*?)```\n(?:\n```(?:json|text)\n(.*?)```)?", re.DOTALL)
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


def _blurred(text: str) -> str:
    """An answer, comparable: JSON with its keys in their order, other output line by line."""
    if text.startswith("{"):
        shape = _same_shape(orjson.loads(text))
        return orjson.dumps(shape, option=orjson.OPT_INDENT_2).decode()
    return "\n".join(line.rstrip() for line in _TIME.sub("TIME", text).splitlines() if line.strip())


def _printed(commands: list[str], folder: Path) -> list[str]:
    """What each block of commands prints, all in one shell as a reader would paste them."""
    script = "set -e\n" + "".join(f"{block}\nprintf '\\0'\n" for block in commands)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment(PATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\0")[:-1]


async def test_every_example_answers_as_the_page_says(database: str, tmp_path: Path) -> None:
    (tmp_path / ".gateway").mkdir()
    (tmp_path / ".gateway" / "dev.json").write_bytes(orjson.dumps({"database_url": database}))
    given = settings(database)
    async with listening(server.server(Worker(given), given)) as listener:
        examples = _EXAMPLE.findall(PAGE.replace(DOCUMENTED_URL, server.url(listener)))
        commands = [command for command, _ in examples]
        printed = await asyncio.to_thread(_printed, commands, tmp_path)
    for (command, answer), found in zip(examples, printed, strict=True):
        assert _blurred(found) == _blurred(answer), command
    assert len(examples) >= MIN_EXAMPLES


def test_every_curl_of_the_page_is_in_an_example() -> None:
    assert PAGE.count("curl -s") == sum(
        command.count("curl -s") for command, _ in _EXAMPLE.findall(PAGE)
    )


@pytest.mark.parametrize(
    "name", ["account_guesses", "address_guesses", "unknown_callers", "trusted_proxies"]
)
def test_a_limit_is_on_the_page_as_the_settings_have_it(name: str) -> None:
    [setting] = [each for each in SETTINGS if each.name == name]
    default = f"`{setting.default}`" if setting.default else ""
    assert f"| `{setting.variable}` | {default} | {setting.meaning} |" in RULES


def test_no_token_of_the_page_is_a_whole_one() -> None:
    assert re.findall(r"plano_(?:ses|app)_[A-Za-z0-9_-]{43}", PAGE) == []
