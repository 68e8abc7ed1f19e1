"""Why a request would be matched, refused or not found, from the table alone."""

from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from gateway import statuses
from gateway.registry import paths
from gateway.registry.records import METHODS, Route
from gateway.registry.table import Table
from gateway.registry.trie import Node

NO_CODE = "no code is installed for the action"

SERVED = "served"

MAX_SEGMENTS_LISTED = 20
"""Segments that an answer lists as possible next ones."""


def route_state(table: Table, route: Route, actions: Collection[str] | None) -> str:
    """`served`, or the status that every call of the route gets, and why.

    `actions` names the actions that this process has code for; None skips that check.
    """
    service = table.services.get(route.service)
    if not route.deployed:
        return "route-not-found: the route is not deployed"
    if not (service and service.deployed):
        return f"service-not-found: the service {route.service} is not deployed"
    if service.upstream:
        return SERVED
    if actions is not None and route.handler not in actions:
        return f"service-not-found: {NO_CODE} {route.handler}"
    return SERVED


def path_of(target: str) -> str:
    """The path of a URL, or of a path with a query, as access logs have it."""
    path = target.partition("#")[0].partition("?")[0]
    scheme, separator, rest = path.partition("://")
    return "/" + rest.partition("/")[2] if separator and "/" not in scheme else path


def explain(
    table: Table, method: str, path: str, actions: Collection[str] | None = None
) -> dict[str, Any]:
    """The outcome of the stages match and resolve for a request, and the reason for it.

    `path` is the path without a query, percent-encoded or not.
    """
    raw = quote(path, safe="/%:@!$&'()*+,;=~-._", errors="surrogateescape").encode()
    match = table.find("GET" if method == "HEAD" else method, raw)
    request = {"revision": table.revision, "request": f"{method} {path}"}
    if method == "OPTIONS" and (methods := table.methods(raw)):
        return {**request, "answer": "the methods of this path", "methods": sorted(methods)}
    if paths.is_reserved(raw.decode()):
        own = ", ".join(paths.RESERVED)
        why = f"no route can have it: {own} and every path below belong to the gateway itself"
        return {**request, "answer": "a path of the gateway's own", "why": why}
    if not match:
        return {**request, "answer": statuses.ROUTE_NON_EXISTENT, **_why_not(table, method, raw)}
    route, values, _ = match
    return {
        **request,
        "answer": route_state(table, route, actions),
        "route": route.name,
        "pattern": route.path,
        "params": values,
        "handler": route.handler,
        "auth": sorted(route.auth) or "public",
        "roles": dict(sorted(route.roles.items())) if route.roles else "any",
        **({} if route.stale is None else {"reads": f"a replica, at most {route.stale:g} s old"}),
        **_sent_to(table, route),
    }


def _sent_to(table: Table, route: Route) -> dict[str, Any]:
    """Where the calls of an http service's route go, and what bounds them."""
    service = table.services.get(route.service)
    if service is None or service.upstream is None:
        return {}
    upstream, (name, _, action) = service.upstream, route.handler.partition(".")
    return {
        "sent_to": [f"POST {url}/{name}/{action}" for url in upstream.endpoints],
        "timeout": f"{upstream.timeout:g} s an attempt, {route.timeout:g} s in total",
        "retries": upstream.retries,
    }


def _why_not(table: Table, method: str, raw: bytes) -> dict[str, Any]:
    if method not in (*METHODS, "HEAD"):
        return {"why": f"no route can have the method {method}"}
    methods = table.methods(raw)
    if methods:
        return {"why": "this path has only other methods", "methods": sorted(methods)}
    if raw == b"/":
        return {"why": "no route can have the path /: it has no segment", **_first_segments(table)}
    segments = paths.split(raw)
    if segments is None:
        return {
            "why": "no route can have this path: it does not start with /, or has an empty "
            "segment, . or .., a NUL, text that is not UTF-8, or more than "
            f"{paths.MAX_SEGMENTS} segments"
        }
    return _longest_match(table, segments)


def _first_segments(table: Table) -> dict[str, Any]:
    return {"known": _longest_match(table, [])["known"]}


def _longest_match(table: Table, segments: list[str]) -> dict[str, Any]:
    """How many segments match in the tries of all methods, and the possible next segments."""
    roots = [root for method in METHODS if (root := table.root(method))]
    deepest = [_deepest(root, segments, 0) for root in roots]
    depth = max((depth for depth, _ in deepest), default=0)
    prefix = "/" + "/".join(segments[:depth])
    is_complete = depth == len(segments)
    nodes = [node for end_depth, ends in deepest if end_depth == depth for node in ends]
    following = sorted({name for node in nodes for name in _child_names(node)})
    why = "no route ends at" if is_complete else "no route matches the segments after"
    return {"why": f"{why} {prefix}", "known": following[:MAX_SEGMENTS_LISTED]}


def _deepest(node: Node, segments: list[str], depth: int) -> tuple[int, list[Node]]:
    """The number of segments that match, and the nodes they lead to."""
    best: tuple[int, list[Node]] = (depth, [node])
    if depth == len(segments):
        return best
    for child in _matching_children(node, segments[depth]):
        child_depth, nodes = _deepest(child, segments, depth + 1)
        if child_depth > best[0]:
            best = (child_depth, nodes)
        elif child_depth == best[0] and child_depth > depth:
            best = (child_depth, [*best[1], *nodes])
    return best


def _matching_children(node: Node, text: str) -> list[Node]:
    typed = [child for kind, child in node.typed.items() if paths.KINDS[kind](text) is not None]
    children = [node.literals.get(text), *typed, node.plain]
    return [child for child in children if child]


def _child_names(node: Node) -> list[str]:
    typed = [f"{{…:{kind}}}" for kind in node.typed]
    return [*node.literals, *typed, *(["{…}"] if node.plain else [])]
