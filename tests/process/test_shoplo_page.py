"""The page on the Shoplo dialect: every curl on it, really run, has the answer on it."""

import asyncio
import os
import re
import subprocess

from support.harness import ROOT, settings
from support.servers import listening

from gateway.serve import server
from gateway.serve.worker import Worker

_EXAMPLE = re.compile(r"```sh\n(.*?)```\n\n```json\n(.*?)\n```", re.DOTALL)
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b")
_TIME = re.compile(r"20[2-9]\d-\d\d-\d\d \d\d:\d\d:\d\d")


def _blurred(text: str) -> str:
    return _TIME.sub("TIME", _UUID.sub("UUID", text))


async def test_every_example_answers_as_the_page_says(
    database: str, tokens: dict[str, str]
) -> None:
    given = settings(database)
    examples = _EXAMPLE.findall((ROOT / "docs" / "reference" / "shoplo.md").read_text())
    async with listening(server.server(Worker(given), given)) as listener:
        environment = {**os.environ, "URL": server.url(listener), "TOKEN": tokens["application"]}
        for command, answer in examples:
            done = await asyncio.to_thread(
                subprocess.run,
                ["bash", "-c", command],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            assert _blurred(done.stdout) == _blurred(answer)
    assert len(examples) >= 9
