"""The documentation says what the code does."""

import re
import shlex
from pathlib import Path

import orjson
import pytest
import tables
import yaml
from support.harness import ROOT, Client, execute

from gateway import statuses
from gateway.settings import SETTINGS

README = (ROOT / "README.md").read_text()
PROSE = [
    *tables.pages(),
    *(ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")),
]


def test_no_table_is_stale() -> None:
    assert tables.stale() == []


def test_the_readme_names_every_status_setting_and_command() -> None:
    names = [status.slug for status in statuses.catalogue()]
    names += [setting.variable for setting in SETTINGS]
    names += [f"gateway {verb}" for verb, _ in tables.commands()]
    missing = [name for name in names if f"`{name}`" not in README]
    assert not missing


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_no_link_leads_nowhere(page: Path) -> None:
    text = page.read_text()
    anchors = {_anchor(line) for line in text.splitlines() if line.startswith("#")}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("http"):
            assert (page.parent / target.partition("#")[0]).exists(), target


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 _-]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", README, re.DOTALL | re.MULTILINE)


async def test_the_curl_of_the_readme_has_the_answer_of_the_readme(client: Client) -> None:
    [command] = [block for block in _blocks("sh") if "order_stages/create" in block]
    words = shlex.split(command[command.index("curl") :].replace("'$TOKEN'", "TOKEN"))
    body = words[words.index("-d") + 1].replace("TOKEN", client.tokens["employee"])
    path = words[2].removeprefix("http://127.0.0.1:8000")
    response = await client.post(path, orjson.loads(body))
    answered = _BLUR.sub("now", orjson.dumps(response.json(), option=orjson.OPT_INDENT_2).decode())
    assert _BLUR.sub("now", _blocks("json")[0]).strip() == answered


_BLUR = re.compile(r"2026-\d\d-\d\dT[\d:.]+\+00:00")


async def test_the_service_of_the_readme_works_as_it_stands(tmp_path: Path) -> None:
    """The three files of "A new service in five minutes", put beside each other and checked."""
    from gateway.manifest.check import check  # noqa: PLC0415 - beside its only use

    [schema] = [block for block in _blocks("json") if '"Whom to greet."' in block]
    [manifest] = [block for block in _blocks("yaml") if "greetings.create" in block]
    [source] = [block for block in _blocks("python") if "async def create" in block]
    (tmp_path / "schemas" / "greetings").mkdir(parents=True)
    (tmp_path / "schemas" / "greetings" / "create.json").write_text(schema)
    document = {"version": 1, "namespace": "readme", **yaml.safe_load(manifest)}
    (tmp_path / "routes.yaml").write_text(yaml.safe_dump(document))
    [desired] = check(tmp_path / "routes.yaml")
    assert desired.routes["greetings.create"].record["path"] == "/api/v1/greetings/create"
    compile(_dedent(source), "greetings.py", "exec")


def _dedent(block: str) -> str:
    return re.sub(r"^   ", "", block, flags=re.MULTILINE)


async def test_the_demo_is_as_the_readme_says(database: str) -> None:
    found = await execute(
        database,
        "select count(*) filter (where o.id is not null) as orders, "
        "count(*) filter (where r.id between 1101 and 1110 and o.id is null) as without "
        "from order_requests r left join orders o on o.order_request_id = r.id "
        "and r.id = o.id + 1000",
    )
    assert dict(found[0]) == {"orders": 100, "without": 10}
