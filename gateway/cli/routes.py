"""Verbs about what is served and why: routes, explain."""

from typing import Any

import click

from gateway.cli.context import app_folder
from gateway.cli.database import with_database
from gateway.cli.options import app_option, json_option
from gateway.cli.output import echo, echo_error, print_json, print_table
from gateway.registry import explain as explanations
from gateway.registry import store
from gateway.upstreams.python import Actions


@click.command
@app_option
@json_option
def list_routes(*, as_json: bool) -> None:
    """List the registry's routes, and whether each can answer.

    Example: `gateway routes`
    """
    actions = Actions.load(app_folder())
    table = with_database(store.load)
    names = frozenset(actions.names())
    rows = [
        (
            route.method,
            route.path,
            route.name,
            ", ".join(sorted(route.auth)) or "public",
            explanations.route_state(table, route, names),
        )
        for route in sorted(table.routes.values(), key=lambda route: (route.path, route.method))
    ]
    print_table(("method", "path", "route", "auth", "state"), rows, as_json=as_json)
    if any(explanations.NO_CODE in state for *_, state in rows):
        echo_error(f"code of services: {actions.searched}")


@click.command
@click.argument("method", help="GET, POST, …")
@click.argument(
    "path", metavar="PATH|URL", help="The path or URL of a request; a query is ignored."
)
@app_option
@json_option
def explain(method: str, path: str, *, as_json: bool) -> None:
    """Explain why a request would be matched, refused or not found.

    Example: `gateway explain POST /api/v1/order_stages/create`
    """
    actions = Actions.load(app_folder())
    table = with_database(store.load)
    names = frozenset(actions.names())
    answer = explanations.explain(table, method.upper(), explanations.path_of(path), names)
    if explanations.NO_CODE in answer["answer"]:
        why = actions.why_missing(answer["handler"])
        answer |= {"why": why} if why else {"searched": actions.searched}
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
