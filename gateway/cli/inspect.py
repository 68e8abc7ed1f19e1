"""Verbs that say what is served and why: routes, explain."""

from collections.abc import Collection
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway import paths
from gateway.actions import Actions
from gateway.cli.operate import Json, with_database
from gateway.cli.output import json, say, table
from gateway.registry import store
from gateway.registry.records import METHODS, Route
from gateway.registry.table import Table
from gateway.registry.trie import Node

MOST_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    app.command("routes")(list_routes)
    app.command("explain")(explain)


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
            _state(loaded, route, here),
        )
        for route in sorted(loaded.routes.values(), key=lambda route: (route.path, route.method))
    ]
    table(("method", "path", "route", "auth", "state"), rows, as_json=as_json)


def _state(loaded: Table, route: Route, here: Collection[str] | None) -> str:
    """How the route answers; `here` names the actions with code where this runs, if it matters."""
    service = loaded.services.get(route.service)
    if not route.deployed:
        return "route-not-found: the route is not deployed"
    if not (service and service.deployed):
        return f"service-not-found: the service {route.service} is not deployed"
    if here is not None and route.handler not in here:
        return f"service-not-found: no code here for {route.handler}"
    return "served"


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
    found = explanation(loaded, method.upper(), path.partition("?")[0], here)
    if as_json:
        json(found)
        return
    for name, value in found.items():
        say(f"{name + ':':10} {_plain(value)}")


def _plain(value: Any) -> str:  # noqa: ANN401 - text, lists and objects
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, tuple):
        return " or ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_plain(item)}" for name, item in value.items()) or "none"
    return str(value)


def explanation(
    loaded: Table, method: str, path: str, here: Collection[str] | None = None
) -> dict[str, Any]:
    """What becomes of a request at the stages match and resolve, and why."""
    raw = quote(path, safe="/%:@!$&'()*+,;=~-._", errors="surrogateescape").encode()
    found = loaded.find("GET" if method == "HEAD" else method, raw)
    start = {"revision": loaded.revision, "request": f"{method} {path}"}
    if method == "OPTIONS" and (others := loaded.methods(raw)):
        return {**start, "answer": "the methods of this path", "methods": sorted(others)}
    if not found:
        return {**start, "answer": "route-non-existent", **_why_not(loaded, method, raw)}
    route, values = found
    return {
        **start,
        "answer": _state(loaded, route, here),
        "route": route.name,
        "pattern": route.path,
        "params": values,
        "handler": route.handler,
        "auth": sorted(route.auth) or "public",
        "roles": route.roles or "any",
    }


def _why_not(loaded: Table, method: str, raw: bytes) -> dict[str, Any]:
    if paths.is_reserved(raw.decode()):
        return {"why": f"all below {', '.join(paths.RESERVED)} belongs to the gateway itself"}
    if method not in (*METHODS, "HEAD"):
        return {"why": f"no route can have the method {method}"}
    others = loaded.methods(raw)
    if others:
        return {"why": "this path has other methods", "methods": sorted(others)}
    segments = paths.split(raw)
    if segments is None:
        return {
            "why": "such a path matches nothing: it does not start with /, or has an empty "
            "segment, . or .., a NUL, text that is not UTF-8, or more than "
            f"{paths.MAX_SEGMENTS} segments"
        }
    return _where_it_ends(loaded, segments)


def _where_it_ends(loaded: Table, segments: list[str]) -> dict[str, Any]:
    """How far the path is known, in the tries of all methods, and what would come next."""
    roots = [root for method in METHODS if (root := loaded.root(method))]
    ends = [_deepest(root, segments, 0) for root in roots]
    depth = max((depth for depth, _ in ends), default=0)
    known = "/" + "/".join(segments[:depth])
    ended = depth == len(segments)
    nodes = [node for found, there in ends if found == depth for node in there]
    following = sorted({name for node in nodes for name in _below(node)})
    return {
        "why": f"no path ends at {known}" if ended else f"nothing fits the rest after {known}",
        "known": following[:MOST_SHOWN],
    }


def _deepest(node: Node, segments: list[str], depth: int) -> tuple[int, list[Node]]:
    """How many segments fit, and the places where they lead."""
    best: tuple[int, list[Node]] = (depth, [node])
    if depth == len(segments):
        return best
    for child in _fitting(node, segments[depth]):
        found = _deepest(child, segments, depth + 1)
        if found[0] > best[0]:
            best = found
        elif found[0] == best[0] and found[0] > depth:
            best = (best[0], [*best[1], *found[1]])
    return best


def _fitting(node: Node, text: str) -> list[Node]:
    typed = [child for kind, child in node.typed.items() if paths.KINDS[kind](text) is not None]
    children = [node.literals.get(text), *typed, node.plain]
    return [child for child in children if child]


def _below(node: Node) -> list[str]:
    typed = [f"{{…:{kind}}}" for kind in node.typed]
    return [*node.literals, *typed, *(["{…}"] if node.plain else [])]
