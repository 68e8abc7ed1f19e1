"""The documentation says what the code does."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import tables
import yaml
from support.harness import ROOT, Client, execute

import gateway
from gateway import statuses
from gateway.manifest.check import check
from gateway.runtime.events import CATALOGUE
from gateway.runtime.metric_catalogue import METRICS
from gateway.settings import SETTINGS

README = (ROOT / "README.md").read_text()
REFERENCE = ROOT / "docs" / "reference"
MAX_README_LINES = 128
PROSE = [
    *tables.pages(),
    *(ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "gateway").rglob("README.md")),
]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_no_table_is_stale() -> None:
    assert tables.stale() == []


def test_the_reference_names_every_status_setting_command_and_event() -> None:
    names = {
        "statuses": [status.slug for status in statuses.catalogue()],
        "settings": [setting.variable for setting in SETTINGS],
        "commands": [f"gateway {verb}" for verb, _ in tables.commands()],
        "monitoring": [event.name for event in CATALOGUE],
    }
    for page, words in names.items():
        text = (REFERENCE / f"{page}.md").read_text()
        assert [word for word in words if f"`{word}`" not in text] == []


def test_a_metric_that_the_reference_names_exists() -> None:
    text = (REFERENCE / "monitoring.md").read_text()
    named = set(re.findall(r"\b(?:gateway|http_server)_\w+", text))
    assert named == {metric.name for metric in METRICS}


def test_the_reference_names_all_that_a_service_may_import() -> None:
    text = (REFERENCE / "service-api.md").read_text()
    assert [name for name in gateway.__all__ if not re.search(rf"`[^`\n]*\b{name}\b", text)] == []


def test_the_reference_names_every_key_of_a_manifest() -> None:
    text = (REFERENCE / "manifest.md").read_text()
    schema = orjson.loads((ROOT / "gateway" / "schemas" / "manifest.json").read_bytes())
    keys = [*schema["properties"]]
    keys += [
        key
        for kind in ("application", "service", "route")
        for key in schema["$defs"][kind]["properties"]
    ]
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert rows == keys


def test_the_site_shows_every_page() -> None:
    entries = re.findall(r'"([^"]+\.md)"', (ROOT / "zensical.toml").read_text())
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert sorted(entries) == sorted(pages)


def test_the_readme_fits_two_screens() -> None:
    assert len(README.splitlines()) <= MAX_README_LINES


def test_index_links_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/*/*.md")]
    assert [page for page in pages if f"({page}" not in index] == []


@pytest.mark.parametrize("page", PROSE, ids=_name)
def test_no_link_leads_nowhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), target
            assert not anchor or anchor in _anchors(file), target


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=_name)
def test_a_page_of_the_site_links_inside_the_site_alone(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).resolve().is_relative_to(ROOT / "docs"), target


def _anchors(page: Path) -> set[str]:
    return {_anchor(line) for line in page.read_text().splitlines() if line.startswith("#")}


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 _-]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)


async def _answer(client: Client, text: str) -> Any:
    """The answer to the call of `order_stages/create` on a page."""
    [command] = [block for block in _blocks("sh", text) if "order_stages/create" in block]
    words = shlex.split(command[command.index("curl") :].replace("'$TOKEN'", "TOKEN"))
    body = words[words.index("-d") + 1].replace("TOKEN", client.tokens["employee"])
    path = words[2].removeprefix("http://127.0.0.1:8000")
    return (await client.post(path, orjson.loads(body))).json()


async def test_the_curl_of_the_reference_has_the_answer_of_the_reference(client: Client) -> None:
    page = (REFERENCE / "order-stages-create.md").read_text()
    answer = orjson.dumps(await _answer(client, page), option=orjson.OPT_INDENT_2).decode()
    assert _BLUR.sub("now", _blocks("json", page)[0]).strip() == _BLUR.sub("now", answer)


async def test_the_curl_of_the_readme_has_the_shortened_answer_of_the_readme(
    client: Client,
) -> None:
    answer = await _answer(client, README)
    [shortened] = map(orjson.loads, _blocks("json"))
    assert _common(answer, shortened) == shortened


def _common(answer: Any, shortened: Any) -> Any:
    """An answer with the keys alone that a shortened one has."""
    if not isinstance(shortened, dict):
        return answer
    return {key: _common(answer[key], shortened[key]) for key in shortened}


_BLUR = re.compile(r"2026-\d\d-\d\dT[\d:.]+\+00:00")


async def test_the_service_of_the_readme_works_as_it_stands(tmp_path: Path) -> None:
    """The two files of "A service in five minutes", put beside each other, checked and called."""
    [manifest] = [block for block in _blocks("yaml") if "greetings.create" in block]
    [source] = [block for block in _blocks("python") if "async def create" in block]
    document = {"version": 1, "namespace": "readme", **yaml.safe_load(manifest)}
    (tmp_path / "routes.yaml").write_text(yaml.safe_dump(document))
    [desired] = check(tmp_path / "routes.yaml")
    assert desired.routes["greetings.create"].record["path"] == "/api/v1/greetings/create"
    module: dict[str, Any] = {}
    exec(compile(source, "greetings.py", "exec"), module)
    reply = await module["create"](SimpleNamespace(params={"name": "Ada"}))
    assert reply.data == {"greeting": "Hello Ada"}
    with pytest.raises(gateway.Rejection) as refusal:
        await module["create"](SimpleNamespace(params={"name": "nobody"}))
    assert refusal.value.slug in desired.routes["greetings.create"].record["statuses"]


async def test_the_demo_is_as_the_readme_says(database: str) -> None:
    found = await execute(
        database,
        "select count(*) filter (where o.id is not null) as orders, "
        "count(*) filter (where r.id between 1101 and 1110 and o.id is null) as without "
        "from order_requests r left join orders o on o.order_request_id = r.id "
        "and r.id = o.id + 1000",
    )
    assert dict(found[0]) == {"orders": 100, "without": 10}


def test_tutorial_takes_a_free_number_and_quotes_the_greeting() -> None:
    page = (ROOT / "docs" / "tutorial" / "first-service.md").read_text()
    taken = {file.name[:4] for file in (ROOT / "services" / "migrations").glob("*.sql")}
    new = set(re.findall(r"services/migrations/(\d{4})_", page))
    assert new
    assert not new & taken
    assert "The Plano gateway is ready" in page


@pytest.mark.parametrize("file", ["identity", "order-stages-history", "shoplo"])
def test_reference_names_the_largest_page(file: str) -> None:
    assert "at most 250" in (ROOT / "docs" / "reference" / f"{file}.md").read_text()
