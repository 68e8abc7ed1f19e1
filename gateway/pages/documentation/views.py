"""The pages below `/documentation`, from the table that the worker serves.

The handlers are plain functions, which Starlette runs in threads: a page takes milliseconds, and
the first one compiles its template.
"""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as WebRoute

from gateway.database.errors import DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.manifest.history import versions_of_route
from gateway.pages.documentation import contents
from gateway.pages.documentation.route_page import RoutePage, page_path, route_page
from gateway.pages.documentation.versions import VersionPage
from gateway.pages.render import page
from gateway.pages.search import MAX_COUNTED, SearchIndex, SearchIndexCache
from gateway.registry.follow import Registry
from gateway.registry.records import Route
from gateway.registry.table import Table

MAX_QUERY = 200
MAX_VERSIONS = 50
MAX_DIGITS = 18
"""Digits of a revision that PostgreSQL can hold."""

DATABASE_TIMEOUT = 2.0


class Found(NamedTuple):
    """The route that a page is about, and the methods of the other routes of its path."""

    route: Route
    siblings: tuple[str, ...]


class Documentation:
    """The documentation of the registry that a worker serves."""

    def __init__(self, registry: Registry, pool: Pool) -> None:
        self._registry = registry
        self._pool = pool
        self._indexes = SearchIndexCache()

    def routes(self) -> Sequence[WebRoute]:
        """The pages, for a Starlette application."""
        return [
            WebRoute("/documentation", self.index),
            WebRoute("/documentation/statuses", self.statuses),
            WebRoute("/documentation/manifest", self.manifest),
            WebRoute("/documentation/{path:path}", self.route),
        ]

    def index(self, request: Request) -> Response:
        """All routes by service, or those that a search finds."""
        table = self._registry.current
        if table is None:
            return _no_table()
        index = self._indexes.index_of(table)
        query = request.query_params.get("q", "").strip()[:MAX_QUERY]
        service = request.query_params.get("service", "")
        shown = contents.index(index, table, _origin(request))
        values = contents.common(table, query=query) | shown
        if service:
            groups = [group for group in index.groups if service == group.service]
            values |= {"groups": groups, "is_listed": True}
        if query:
            values |= {"results": index.search(query), "max_counted": MAX_COUNTED}
        return page("documentation/index.html", **values)

    async def route(self, request: Request) -> Response:
        """The page of the route with this path.

        `?method=` chooses among several; `?revision=` shows an older version, from the database.
        """
        table = self._registry.current
        if table is None:
            return _no_table()
        path = _path(request)
        index = await run_in_threadpool(self._indexes.index_of, table)
        found = _found(index, table, path, request.query_params.get("method", ""))
        if found is None and path.endswith("/"):
            return RedirectResponse(page_path(path.rstrip("/")), 307)
        if found is None:
            return await run_in_threadpool(self._not_found, table, path)
        if found.route.path != path:
            # A real path, such as /orders/7: the page is that of its pattern.
            return RedirectResponse(page_path(found.route.path), 307)
        revision = request.query_params.get("revision", "")
        origin = _origin(request)
        if not revision:
            return await run_in_threadpool(_current_page, found, table, origin)
        return await self._older_page(found, table, origin, revision)

    async def _older_page(self, found: Found, table: Table, origin: str, revision: str) -> Response:
        route = found.route
        if not (revision.isascii() and revision.isdigit() and len(revision) <= MAX_DIGITS):
            return await run_in_threadpool(_no_version, route, table, revision)
        database = Database.within(self._pool, DATABASE_TIMEOUT)
        try:
            versions = await versions_of_route(database, route.name, MAX_VERSIONS)
        except DatabaseUnavailable:
            return await run_in_threadpool(_no_history, route, table)
        history = VersionPage(route, versions, int(revision))
        return await run_in_threadpool(_version_page, found, history, table, origin)

    def statuses(self, _: Request) -> Response:
        """Every status, and what all routes share."""
        table = self._registry.current
        index = self._indexes.index_of(table) if table else None
        values = contents.common(table) | contents.all_statuses(index)
        return page("documentation/statuses.html", **values)

    def manifest(self, _: Request) -> Response:
        """Every key of `routes.yaml`."""
        table = self._registry.current
        values = contents.common(table) | contents.manifest()
        return page("documentation/manifest.html", **values)

    def _not_found(self, table: Table, path: str) -> Response:
        index = self._indexes.index_of(table)
        words = " ".join(part for part in path.split("/") if part)[:MAX_QUERY]
        results = index.search(words)
        values = contents.common(table) | {"path": path, "results": results}
        return page("documentation/not_found.html", 404, **values)


def _origin(request: Request) -> str:
    """The scheme and host that the client called."""
    return f"{request.url.scheme}://{request.headers['host']}"


def _found(index: SearchIndex, table: Table, path: str, method: str) -> Found | None:
    """A documented route with this path or, failing that, one that a request of it matches."""
    routes = index.by_path.get(path) or _matched(table, path)
    by_method = {route.method: route for route in routes}
    if not routes:
        return None
    route = by_method.get(method.upper(), routes[0])
    return Found(route, tuple(other for other in by_method if other != route.method))


def _matched(table: Table, path: str) -> list[Route]:
    raw = path.encode()
    found = (table.find(method, raw) for method in table.methods(raw))
    return [match.route for match in found if match and match.route.documentation.documented]


def _current_page(found: Found, table: Table, origin: str) -> Response:
    shown = route_page(found.route, table, origin)
    return _show(shown, found.siblings, None, table)


def _version_page(found: Found, history: VersionPage, table: Table, origin: str) -> Response:
    version = history.shown
    if version is None:
        return _no_version(history.route, table, str(history.revision))
    return _show(route_page(version, table, origin), found.siblings, history, table)


def _show(
    shown: RoutePage, siblings: tuple[str, ...], history: VersionPage | None, table: Table
) -> Response:
    values = contents.common(table) | contents.of_route(shown, siblings, history)
    return page("documentation/route.html", **values)


def _no_version(route: Route, table: Table, revision: str) -> Response:
    values = {"route": route, "asked": revision}
    return page("documentation/no_version.html", 404, **contents.common(table) | values)


def _no_history(route: Route, table: Table) -> Response:
    values = {"route": route, "asked": None}
    return page("documentation/no_version.html", 503, **contents.common(table) | values)


def _path(request: Request) -> str:
    """The path of the route, from the raw path: percent-decoded once."""
    raw: bytes = request.scope["raw_path"]
    return unquote(raw.decode("latin-1").removeprefix("/documentation"))


def _no_table() -> Response:
    return page("documentation/unavailable.html", 503, **contents.common(None))
