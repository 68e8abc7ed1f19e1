"""The page on identity: all its commands, run in one shell, have the answers on it."""

import asyncio
import re
from pathlib import Path

import orjson
import pytest
from support.harness import ROOT, settings
from support.pages import EXAMPLE, blurred, printed
from support.servers import listening

from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.settings import SETTINGS

PAGE = (ROOT / "docs" / "how-to" / "users-and-tokens.md").read_text()
RULES = (ROOT / "docs" / "reference" / "identity.md").read_text()
DOCUMENTED_URL = "http://127.0.0.1:8000"
MIN_EXAMPLES = 24


async def test_every_example_answers_as_the_page_says(database: str, tmp_path: Path) -> None:
    (tmp_path / ".gateway").mkdir()
    (tmp_path / ".gateway" / "dev.json").write_bytes(orjson.dumps({"database_url": database}))
    given = settings(database)
    async with listening(server.server(Worker(given), given)) as listener:
        examples = EXAMPLE.findall(PAGE.replace(DOCUMENTED_URL, server.url(listener)))
        commands = [command for command, _ in examples]
        outputs = await asyncio.to_thread(printed, commands, tmp_path)
    for (command, answer), found in zip(examples, outputs, strict=True):
        assert blurred(found) == blurred(answer), command
    assert len(examples) >= MIN_EXAMPLES


def test_every_curl_of_the_page_is_in_an_example() -> None:
    assert PAGE.count("curl -s") == sum(
        command.count("curl -s") for command, _ in EXAMPLE.findall(PAGE)
    )


@pytest.mark.parametrize(
    "name",
    [
        *("account_guesses", "address_guesses", "unknown_callers", "max_sessions_per_user"),
        "trusted_proxies",
    ],
)
def test_a_limit_is_on_the_page_as_the_settings_have_it(name: str) -> None:
    [setting] = [each for each in SETTINGS if each.name == name]
    default = f"`{setting.default}`" if setting.default else ""
    assert f"| `{setting.variable}` | {default} | {setting.meaning} |" in RULES


def test_no_token_of_the_page_is_a_whole_one() -> None:
    assert re.findall(r"plano_(?:ses|app)_[A-Za-z0-9_-]{43}", PAGE) == []
