"""Generated clients call a gateway, as docs/how-to/generate-a-client.md shows it.

Every command of the page runs here, and every program of it. The packages are those that `make
test-clients` has installed from its lock files: neither npm nor pip asks the network.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from support.harness import ROOT, settings
from support.servers import listening

from gateway.serve import server
from gateway.serve.worker import Worker

CLIENTS = Path(__file__).parent
PAGE = (ROOT / "docs" / "how-to" / "generate-a-client.md").read_text()
DOCUMENTED_URL = "http://127.0.0.1:8000"
PROGRAM = re.compile(r"```\w+ title=\"(.+?)\"\n(.*?)```", re.DOTALL)
COMMANDS = re.compile(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
# npm does not keep all that `npm ci` has read, so it may ask the registry again.
NPM_AND_PIP = {
    "npm_config_prefer_offline": "true",
    "npm_config_ignore_scripts": "true",
    "PIP_NO_INDEX": "1",
}
GENERATOR = Path(f"{sys.prefix}-clients") / "bin"


def chapter(title: str) -> str:
    """The text of a chapter of the page."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture
async def folder(database: str, tokens: dict[str, str], tmp_path: Path) -> AsyncIterator[Path]:
    """A folder as the page expects it, while a gateway serves the demo."""
    given = settings(database)
    async with listening(server.server(Worker(given), given)) as listener:
        dev = {"url": server.url(listener), "tokens": tokens}
        (tmp_path / ".gateway").mkdir()
        (tmp_path / ".gateway" / "dev.json").write_bytes(orjson.dumps(dev))
        yield tmp_path


async def follow(text: str, folder: Path) -> list[tuple[str, str]]:
    """Write the programs of a text and run its commands: what each prints, and what it should."""
    url = orjson.loads((folder / ".gateway" / "dev.json").read_bytes())["url"]
    for name, program in PROGRAM.findall(text):
        (folder / name).write_text(program)
    return [
        (await asyncio.to_thread(run, command.replace(DOCUMENTED_URL, url), folder), printed)
        for command, printed in COMMANDS.findall(text)
    ]


def run(command: str, folder: Path) -> str:
    """What a command prints."""
    path = os.pathsep.join([str(GENERATOR), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        env={**os.environ, **NPM_AND_PIP, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


async def test_typescript_client_calls_a_gateway_as_the_page_says(folder: Path) -> None:
    shutil.copytree(CLIENTS / "node_modules", folder / "node_modules", symlinks=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(CLIENTS / name, folder)
    found = await follow(chapter("TypeScript"), folder)
    assert [printed for printed, documented in found if documented] == [found[-1][1]]
    assert len(found) == 3


async def test_python_client_calls_a_gateway_as_the_page_says(folder: Path) -> None:
    found = await follow(chapter("Python"), folder)
    assert [printed for printed, documented in found if documented] == [found[-1][1]]
    assert len(found) == 3


async def test_python_client_has_every_route_and_types_every_body(folder: Path) -> None:
    await follow(chapter("Python"), folder)
    api = folder / "plano" / "api"
    written = {file.stem for file in api.rglob("*_*.py") if file.stem != "__init__"}
    url = orjson.loads((folder / ".gateway" / "dev.json").read_bytes())["url"]
    document = orjson.loads(await asyncio.to_thread(run, f"curl -sf {url}/openapi.json", folder))
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert written == {each["operationId"].replace(".", "_") for each in operations}
    for each in operations:
        [text] = [
            file.read_text() for file in api.rglob(f"{each['operationId'].replace('.', '_')}.py")
        ]
        # The types of a body are lost in `Any`, and in a class of the common params alone.
        assert not re.search(r"body: (Any|Common)\b", text), each["operationId"]
        # A success that the generator does not understand is left out.
        assert "response.status_code == 200" in text, each["operationId"]
