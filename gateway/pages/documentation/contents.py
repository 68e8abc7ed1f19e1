"""The variables of the documentation's templates, for pages and for the files of `make docs`."""

from itertools import islice
from typing import Any

from gateway import statuses
from gateway.pages.documentation.examples import example
from gateway.pages.documentation.manifest_keys import manifest_keys
from gateway.pages.documentation.params import application_slugs
from gateway.pages.documentation.responses import responses
from gateway.pages.documentation.route_page import RoutePage, page_path
from gateway.pages.documentation.snippets import Snippet, snippets
from gateway.pages.documentation.versions import VersionPage
from gateway.pages.search import SearchIndex
from gateway.registry.records import Route
from gateway.registry.table import Table

MAX_LISTED = 300
"""Routes that the index lists; a larger registry shows its services alone."""

Values = dict[str, Any]
"""The variables of a template."""


def common(table: Table | None, *, query: str = "", is_live: bool = True) -> Values:
    """What every page shows; `is_live` is False for a file, which cannot call a gateway."""
    return {
        "revision": table.revision if table else None,
        "services": table.services if table else {},
        "query": query,
        "is_live": is_live,
        "page_path": page_path,
    }


def index(search_index: SearchIndex, table: Table, origin: str) -> Values:
    """All routes by service, and the first call of the gateway at `origin`."""
    return {
        "groups": search_index.groups,
        "is_listed": search_index.total <= MAX_LISTED,
        "total": search_index.total,
        "results": None,
        "first": _first_call(table, origin),
    }


def all_statuses(search_index: SearchIndex | None) -> Values:
    """Every status, and what all routes share."""
    own = _own_statuses(search_index) if search_index else []
    return {"responses": responses(), "own": own}


def manifest() -> Values:
    """Every key of `routes.yaml`."""
    return {"sections": manifest_keys()}


def of_route(
    shown: RoutePage, siblings: tuple[str, ...], history: VersionPage | None = None
) -> Values:
    """A route; `siblings` are the methods of the other routes of its path."""
    return {"page": shown, "siblings": siblings, "history": history}


def _first_call(table: Table, origin: str) -> Snippet | None:
    """The command that the index shows: a call of the first route with an example."""
    with_example = (r for r in islice(table.routes.values(), MAX_LISTED) if _is_for_index(r))
    route = next(with_example, None)
    if route is None:
        return None
    return snippets(example(route, application_slugs(route, table)), origin)[0]


def _is_for_index(route: Route) -> bool:
    documentation = route.documentation
    has_example = documentation.documented and "params" in documentation.examples
    return route.deployed and has_example and not route.sensitive_params


def _own_statuses(search_index: SearchIndex) -> list[tuple[Any, list[Route]]]:
    """The statuses of single routes, with the routes."""
    by_slug: dict[str, list[Route]] = {}
    for group in search_index.groups:
        for route in group.routes:
            for slug in route.statuses.keys() - statuses.COMMON.keys():
                by_slug.setdefault(slug, []).append(route)
    return [(routes[0].statuses[slug], routes) for slug, routes in sorted(by_slug.items())]
