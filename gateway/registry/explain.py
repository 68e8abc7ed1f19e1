"""Why a request would be matched, refused or not found, by the table alone."""

from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from gateway import statuses
from gateway.registry import paths
from gateway.registry.records import METHODS, Route
from gateway.registry.table import Table
from gateway.registry.trie import Node

MAX_SHOWN = 20
"""Segments that are listed as what may come next."""


def route_state(table: Table, route: Route, actions: Collection[str] | None) -> str:
    """`served`, or the status that every call of the route gets and why.

    `actions` are the names of the actions that this process has code for, None if unknown.
    """
    service = table.services.get(route.service)
    if not route.deployed:
        return "route-not-found: the route is not deployed"
    if not (service and service.deployed):
        return f"service-not-found: the service {route.service} is not deployed"
    if actions is not None and route.handler not in actions:
        return f"service-not-found: no code here for {route.handler}"
    return "served"


def explain(
    table: Table, method: str, path: str, actions: Collection[str] | None = None
) -> dict[str, Any]:
    """The answer to a request at the stages match and resolve, and the reason for it.

    `path` is a request's path, percent-encoded or not, without its query.
    """
    raw = quote(path, safe="/%:@!$&'()*+,;=~-._", errors="surrogateescape").encode()
    found = table.find("GET" if method == "HEAD" else method, raw)
    start = {"revision": table.revision, "request": f"{method} {path}"}
    if method == "OPTIONS" and (others := table.methods(raw)):
        return {**start, "answer": "the methods of this path", "methods": sorted(others)}
    if not found:
        return {**start, "answer": statuses.ROUTE_NON_EXISTENT, **_why_not(table, method, raw)}
    route, values = found
    return {
        **start,
        "answer": route_state(table, route, actions),
        "route": route.name,
        "pattern": route.path,
        "params": values,
        "handler": route.handler,
        "auth": sorted(route.auth) or "public",
        "roles": route.roles or "any",
    }


def _why_not(table: Table, method: str, raw: bytes) -> dict[str, Any]:
    if paths.is_reserved(raw.decode()):
        return {"why": f"all below {', '.join(paths.RESERVED)} belongs to the gateway itself"}
    if method not in (*METHODS, "HEAD"):
        return {"why": f"no route can have the method {method}"}
    others = table.methods(raw)
    if others:
        return {"why": "this path has other methods", "methods": sorted(others)}
    segments = paths.split(raw)
    if segments is None:
        return {
            "why": "such a path matches nothing: it does not start with /, or has an empty "
            "segment, . or .., a NUL, text that is not UTF-8, or more than "
            f"{paths.MAX_SEGMENTS} segments"
        }
    return _where_it_ends(table, segments)


def _where_it_ends(table: Table, segments: list[str]) -> dict[str, Any]:
    """How far the path is known, in the tries of all methods, and what would come next."""
    roots = [root for method in METHODS if (root := table.root(method))]
    ends = [_deepest(root, segments, 0) for root in roots]
    depth = max((depth for depth, _ in ends), default=0)
    known = "/" + "/".join(segments[:depth])
    ended = depth == len(segments)
    nodes = [node for found, there in ends if found == depth for node in there]
    following = sorted({name for node in nodes for name in _below(node)})
    return {
        "why": f"no path ends at {known}" if ended else f"nothing fits the rest after {known}",
        "known": following[:MAX_SHOWN],
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
