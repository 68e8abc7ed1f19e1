"""Verbs about what is served and why: routes, explain."""

from typing import Any

import click

from gateway.cli.database import with_database
from gateway.cli.options import json_option
from gateway.cli.output import echo, print_json, print_table
from gateway.registry import explain as explanations
from gateway.registry import store
from gateway.upstreams.python import Actions


@click.command
@json_option
def list_routes(*, as_json: bool) -> None:
    """List the registry's routes, and whether each can answer.

    Example: `gateway routes`
    """
    table = with_database(store.load)
    actions = frozenset(Actions.load().names())
    rows = [
        (
            route.method,
            route.path,
            route.name,
            ", ".join(sorted(route.auth)) or "public",
            explanations.route_state(table, route, actions),
        )
        for route in sorted(table.routes.values(), key=lambda route: (route.path, route.method))
    ]
    print_table(("method", "path", "route", "auth", "state"), rows, as_json=as_json)


@click.command
@click.argument("method", help="GET, POST, …")
@click.argument("path", help="The path of a request; a query is ignored.")
@json_option
def explain(method: str, path: str, *, as_json: bool) -> None:
    """Explain why a request would be matched, refused or not found.

    Example: `gateway explain POST /api/v1/order_stages/create`
    """
    table = with_database(store.load)
    actions = frozenset(Actions.load().names())
    # An access log has paths with their queries, and operators paste them from there.
    answer = explanations.explain(table, method.upper(), path.partition("?")[0], actions)
    if as_json:
        print_json(answer)
        return
    for name, value in answer.items():
        echo(f"{name + ':':10} {_plain(value)}")


def _plain(value: Any) -> str:  # noqa: ANN401 - text, lists and objects
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, tuple):
        return " or ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_plain(item)}" for name, item in value.items()) or "none"
    return str(value)
