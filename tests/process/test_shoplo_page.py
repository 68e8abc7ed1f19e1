"""The page on the Shoplo dialect: every curl on it, really run, has the answer on it."""

import asyncio
import os
import re
import subprocess

from harness import ROOT, settings

from gateway import server
from gateway.worker import Worker

_EXAMPLE = re.compile(r"```sh\n(.*?)```\n\n```json\n(.*?)\n```", re.DOTALL)
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b")
_TIME = re.compile(r"20[2-9]\d-\d\d-\d\d \d\d:\d\d:\d\d")


def _blurred(text: str) -> str:
    return _TIME.sub("TIME", _UUID.sub("UUID", text))


async def test_every_example_answers_as_the_page_says(
    database: str, tokens: dict[str, str]
) -> None:
    listener = server.listen("127.0.0.1", 0)
    given = settings(database)
    running = server.server(Worker(given), given)
    serving = asyncio.create_task(running.serve(sockets=[listener]))
    environment = {**os.environ, "URL": server.url(listener), "TOKEN": tokens["application"]}
    examples = _EXAMPLE.findall((ROOT / "docs" / "shoplo.md").read_text())
    try:
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
    finally:
        running.should_exit = True
        await serving
        listener.close()
    assert len(examples) >= 9
