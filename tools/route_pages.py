"""Writes the pages of the routes as files: what `/documentation` of a gateway shows.

`python tools/route_pages.py site` makes them from `routes.yaml`, below `site/documentation`, with
`openapi.json` and the style sheet. Links are relative, so the files also work without a server.
"""

import os
import re
import sys
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import orjson

from gateway.manifest.check import check
from gateway.manifest.desired_table import table_of
from gateway.pages import assets
from gateway.pages.documentation import contents
from gateway.pages.documentation.route_page import route_page
from gateway.pages.openapi.document import openapi
from gateway.pages.render import render
from gateway.pages.search import SearchIndex
from gateway.registry.records import Route
from gateway.registry.table import Table

ROOT = Path(__file__).parents[1]
ORIGIN = "http://127.0.0.1:8000"
"""The gateway that the examples of the files call: that of `make run`."""

FOLDER = "documentation"
_PAGES = ("", "/statuses", "/manifest")
_LINK = re.compile(r'\b(href|src|action)="(/[^"]*)"')
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._/-]")


class Files:
    """The pages of a table as files, by their paths below the folder of the site."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._index = SearchIndex(table)

    def all(self) -> Iterator[tuple[str, bytes]]:
        """Every file with its content."""
        common = contents.common(self._table, is_live=False)
        index = contents.index(self._index, self._table, ORIGIN) | {"is_listed": True}
        yield self._page("index", common | index)
        yield self._page("statuses", common | contents.all_statuses(self._index))
        yield self._page("manifest", common | contents.manifest())
        for routes in self._index.by_path.values():
            for route in routes:
                yield self._route(route, routes)
        yield f"{FOLDER}/style.css", (assets.FOLDER / "style.css").read_bytes()
        yield f"{FOLDER}/openapi.json", orjson.dumps(openapi(self._table))

    def _page(self, name: str, values: contents.Values) -> tuple[str, bytes]:
        text = render(f"documentation/{name}.html", **values)
        return self._relative(f"{FOLDER}/{name}.html", text)

    def _route(self, route: Route, routes: list[Route]) -> tuple[str, bytes]:
        siblings = tuple(other.method for other in routes if other is not route)
        shown = contents.of_route(route_page(route, self._table, ORIGIN), siblings)
        values = contents.common(self._table, is_live=False) | shown
        return self._relative(self._file(route), render("documentation/route.html", **values))

    def _relative(self, file: str, text: str) -> tuple[str, bytes]:
        """A page whose links lead to files, in place of addresses of the gateway."""
        parent = Path(file).parent

        def link(found: re.Match[str]) -> str:
            path, mark, fragment = self._target(unescape(found[2])).partition("#")
            relative = quote(os.path.relpath(path, parent))
            return f'{found[1]}="{escape(relative + mark + fragment)}"'

        return file, _LINK.sub(link, text).encode()

    def _target(self, address: str) -> str:
        """The file, and the place in it, that replace an address of the gateway."""
        parts = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.startswith(assets.PATH) or parts.path == "/openapi.json":
            return f"{FOLDER}/{parts.path.rpartition('/')[2]}"
        path = unquote(parts.path).removeprefix("/documentation")
        if path in _PAGES:
            place = f"service.{query['service']}" if "service" in query else parts.fragment
            return f"{FOLDER}/{path.strip('/') or 'index'}.html#{place}".rstrip("#")
        routes = {route.method: route for route in self._index.by_path[path]}
        route = routes[query["method"]] if "method" in query else next(iter(routes.values()))
        return f"{self._file(route)}#{parts.fragment}".rstrip("#")

    def _file(self, route: Route) -> str:
        """The file of a route, named after its path and, but for the first one, its method."""
        first = self._index.by_path[route.path][0]
        method = "" if route is first else f".{route.method}"
        return f"{FOLDER}/routes{_NOT_IN_NAMES.sub('-', route.path)}{method}.html"


def write(site: Path, manifest: Path) -> None:
    """Write the pages of a manifest's routes below the folder of a site."""
    for name, content in Files(table_of(check(manifest))).all():
        file = site / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


if __name__ == "__main__":
    write(Path(sys.argv[1]), ROOT / "routes.yaml")
