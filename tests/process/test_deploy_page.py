"""The page on deploying leads from an empty database to the answered calls of two callers."""

import asyncio
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from support.harness import ROOT, execute
from support.pages import EXAMPLE, blurred, printed

from gateway.dev.postgres.programs import find_binaries
from gateway.serve import server

PAGE = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
BEGIN, END = "## From an empty database to the first call", "## Updates"
DOCUMENTED_DATABASE = "postgresql://gateway:secret@127.0.0.1:5432/gateway"
DOCUMENTED_URL = "http://127.0.0.1:8000"


def free_port() -> str:
    with server.listen("127.0.0.1", 0) as listener:
        return str(urlsplit(server.url(listener)).port)


def section() -> list[tuple[str, str]]:
    """The commands of the section with their outputs, an empty one if none is shown."""
    text = PAGE[PAGE.index(BEGIN) : PAGE.index(END)]
    assert text.count("```sh") == len(EXAMPLE.findall(text))
    return EXAMPLE.findall(text)


def test_page_leads_from_an_empty_database_to_two_answered_calls(
    empty_database: str, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "routes.yaml", tmp_path)
    for name in ("schemas", "services"):
        shutil.copytree(ROOT / name, tmp_path / name)
    port = free_port()
    commands = [
        command.replace(DOCUMENTED_DATABASE, f"'{empty_database}'").replace(
            DOCUMENTED_URL, f"http://127.0.0.1:{port}"
        )
        for command, _ in section()
    ]
    outputs = printed(commands, tmp_path, find_binaries(), GATEWAY_PORT=port)
    for (command, shown), output in zip(section(), outputs, strict=True):
        if shown:
            assert blurred(output) == blurred(shown), command
    stages = asyncio.run(execute(empty_database, "select stage, created_by from order_stages"))
    assert [tuple(stage) for stage in stages] == [("ordered", "Ada Fields"), ("scheduled", None)]
    statuses = asyncio.run(execute(empty_database, "select stage from order_statuses"))
    assert [row["stage"] for row in statuses] == ["scheduled"]
    assert "Traceback" not in (tmp_path / "gateway.log").read_text()
