"""Verbs that say what is served and why: routes, explain."""

from typing import Annotated, Any

import typer

from gateway.cli.database import with_database
from gateway.cli.options import Json
from gateway.cli.output import echo, print_json, print_table
from gateway.registry import explain as explaining
from gateway.registry import store
from gateway.registry.table import Table
from gateway.upstreams.python import Actions


def list_routes(*, as_json: Json = False) -> None:
    """List the routes that the registry holds, and whether each can answer.

    Example: `gateway routes`
    """
    loaded: Table = with_database(store.load)
    here = frozenset(Actions.load().names())
    rows = [
        (
            route.method,
            route.path,
            route.name,
            ", ".join(sorted(route.auth)) or "public",
            explaining.route_state(loaded, route, here),
        )
        for route in sorted(loaded.routes.values(), key=lambda route: (route.path, route.method))
    ]
    print_table(("method", "path", "route", "auth", "state"), rows, as_json=as_json)


def explain(
    method: Annotated[str, typer.Argument(help="GET, POST, …")],
    path: Annotated[str, typer.Argument(help="The path of a request, without its query.")],
    *,
    as_json: Json = False,
) -> None:
    """Say why a request would be matched, refused or not found.

    Example: `gateway explain POST /api/v1/order_stages/create`
    """
    loaded: Table = with_database(store.load)
    # A path with its query, as an access log has it, is meant without.
    here = frozenset(Actions.load().names())
    found = explaining.explain(loaded, method.upper(), path.partition("?")[0], here)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        echo(f"{name + ':':10} {_plain(value)}")


def _plain(value: Any) -> str:  # noqa: ANN401 - text, lists and objects
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, tuple):
        return " or ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_plain(item)}" for name, item in value.items()) or "none"
    return str(value)
