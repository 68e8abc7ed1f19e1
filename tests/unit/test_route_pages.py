"""The pages of the routes as files: all are there, every link in them leads to a file."""

import re
from pathlib import Path

import check_site
import orjson
import pytest
import route_pages
from support.harness import ROOT
from support.html import Element, Page

MANIFEST = """
version: 1
namespace: test
services: {things: {kind: python, deployed: true, title: Things}}
defaults: {deployed: true, auth: [session]}
routes:
  things.list: {method: GET, path: /things, title: List, params: {}}
  things.create: {method: POST, path: /things, title: Create, params: {}}
  things.read:
    {method: GET, path: "/things/{id:int}", title: Read, params: {properties: {id: {}}}}
  things.hidden: {method: GET, path: /hidden, title: Hidden, documented: false, params: {}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of this project's routes."""
    folder = tmp_path_factory.mktemp("site")
    route_pages.write(folder, ROOT / "routes.yaml")
    return folder


def page(folder: Path, name: str) -> Page:
    return Page((folder / "documentation" / f"{name}.html").read_text())


def test_every_link_of_the_files_leads_to_a_file_and_a_place_in_it(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    links = [link for file in pages for link in check_site.Page(file.read_text()).addresses]
    assert len(links) > 10 * len(pages)
    assert list(check_site.problems(site)) == []


def test_index_lists_every_route_and_needs_no_gateway(site: Path) -> None:
    index = page(site, "index")
    document = orjson.loads((site / "documentation" / "openapi.json").read_bytes())
    routes = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    shown = [link.text.split() for link in index.root.all("a") if "method" in link_classes(link)]
    assert {(method, re.sub(r":\w+", "", path)) for method, path in shown} == routes
    for file in site.rglob("*.html"):
        found = Page(file.read_text())
        assert not found.root.all("form")
        assert not found.root.all("script")
        assert not found.ids.keys() & {"try"}
        assert found.root.all("footer")[0].text == "Made from a manifest, without a gateway."


def link_classes(link: Element) -> list[str]:
    return [name for child in link.all("span") for name in child.classes]


def test_routes_of_one_path_link_each_other(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(MANIFEST)
    route_pages.write(tmp_path / "site", tmp_path / "routes.yaml")
    assert list(check_site.problems(tmp_path / "site")) == []
    files = {file.name for file in (tmp_path / "site" / "documentation" / "routes").rglob("*.html")}
    assert files == {"things.html", "things.POST.html", "-id-int-.html"}
    assert "things.POST.html" in page(tmp_path / "site", "routes/things").links()
    assert "things.html" in page(tmp_path / "site", "routes/things.POST").links()
