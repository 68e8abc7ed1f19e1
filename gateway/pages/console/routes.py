"""The routes that are served: search, one route's record, and why a request is not served.

All of it but the history of a route comes from the table in memory, also without the database.
"""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gateway.database.errors import DatabaseUnavailable
from gateway.manifest.history import versions_of_route
from gateway.manifest.records.written import as_written
from gateway.pages.console.access import Operator
from gateway.pages.console.console import Console
from gateway.pages.documentation.params import documented_params
from gateway.pages.documentation.route_page import page_path
from gateway.pages.documentation.versions import version
from gateway.pages.search import MAX_COUNTED, Results, SearchIndex, SearchIndexCache
from gateway.registry.explain import explain, path_of, route_state
from gateway.registry.records import METHODS, Route
from gateway.registry.table import Table
from gateway.runtime.suggest import closest

MAX_QUERY = 200
MAX_PATH = 2000
MAX_VERSIONS = 20
_NO_QUERY = {"q": "", "method": "", "service": "", "as": "GET", "path": ""}
_NO_ANSWER = dict.fromkeys(("why", "known", "methods", "route", "pattern", "params"))
_RECORD = ("auth", "roles", "timeout", "max_body", "rate_limit", "idempotency", "envelope")


class Row(NamedTuple):
    """A route of the list, and its state: `served`, or the status that every call gets."""

    route: Route
    state: str


class Routes:
    """The tab; it keeps the search index."""

    def __init__(self) -> None:
        self._indexes = SearchIndexCache(hidden=True)

    async def index(self, console: Console, request: Request, operator: Operator) -> Response:
        """The routes that fit the words and filters; and what a typed request would meet."""
        table, query = console.registry.current, dict(request.query_params)
        if table is None:
            return await console.missing(operator, "This worker serves no registry yet.")
        values = await run_in_threadpool(self._list, table, query, console)
        return await console.page("routes.html", operator, **values)

    def _list(self, table: Table, query: Mapping[str, str], console: Console) -> dict[str, Any]:
        index, began = self._indexes.index_of(table), time.perf_counter()
        results = _results(index, query)
        milliseconds = (time.perf_counter() - began) * 1000
        actions = console.actions()
        return {
            "rows": [Row(route, route_state(table, route, actions)) for route in results.routes],
            "results": results,
            "max_counted": MAX_COUNTED,
            "total": len(table.routes),
            "milliseconds": milliseconds,
            "query": {**_NO_QUERY, **query},
            "services": sorted(table.services),
            "methods": METHODS,
            "explained": _explained(table, query, console),
        }

    async def show(self, console: Console, request: Request, operator: Operator) -> Response:
        """One route: its record, params, statuses of the last hour, recent faults, history."""
        table, name = console.registry.current, request.path_params["name"]
        route = table.routes.get(name) if table else None
        if table is None or route is None:
            # In a thread: among 100,000 names it takes seconds.
            near = await run_in_threadpool(closest, name, table.routes if table else ())
            hint = f" Did you mean {near}?" if near else ""
            return await console.missing(operator, f"No route has the name {name}.{hint}")
        state = await console.watcher.look()
        return await console.page(
            "route.html",
            operator,
            state=state,
            route=route,
            service=table.services.get(route.service),
            verdict=route_state(table, route, console.actions()),
            record=_record(route),
            params=documented_params(route, table),
            counts=state.statuses_of(name),
            catalogue=route.statuses,
            faults=state.recent_faults(name),
            versions=await _versions(console, name),
            page_path=page_path,
        )


def _results(index: SearchIndex, query: Mapping[str, str]) -> Results:
    """The routes that a query finds; a filter is one more word, or is applied to all."""
    text = query.get("q", "").strip()[:MAX_QUERY]
    method, service = query.get("method", ""), query.get("service", "")

    def keep(route: Route) -> bool:
        return method in {"", route.method} and service in {"", route.service}

    return index.search(text, keep) if text else index.first(keep)


def _explained(
    table: Table, query: Mapping[str, str], console: Console
) -> Mapping[str, Any] | None:
    """The outcome of the request that was typed; None if none was."""
    path = path_of(query.get("path", "").strip()[:MAX_PATH])
    if not query.get("path", "").strip():
        return None
    method = query.get("as", "GET").upper()[:10]
    return _NO_ANSWER | explain(table, method, path, frozenset(console.actions()))


def _record(route: Route) -> list[tuple[str, str]]:
    """The fields of the record as the manifest writes them; those without a value are left out."""
    values = ((name, getattr(route, name)) for name in _RECORD)
    return [(name, _written(name, value)) for name, value in values if value not in (None, ())]


def _written(name: str, value: Any) -> str:  # noqa: ANN401 - a field of a record
    if name == "roles":
        return "; ".join(f"{slug}: {', '.join(roles)}" for slug, roles in sorted(value.items()))
    if name == "auth":
        return ", ".join(sorted(value)) or "public"
    if name == "rate_limit":
        value = [value.calls, value.seconds]
    return str(as_written(name, value))


async def _versions(console: Console, name: str) -> list[Any] | None:
    """The revisions that changed a route, newest first; None without the database."""
    try:
        rows = await versions_of_route(console.database(), name, MAX_VERSIONS)
    except DatabaseUnavailable:
        return None
    return [version(row) for row in rows]
