"""The immutable table of routes: for each method a dictionary and a trie."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway import paths
from gateway.paths import Segment
from gateway.registry.records import Route, Service


class ClashError(ValueError):
    """Two routes have the same method and the same shape of path."""


@dataclass(slots=True)
class _Node:
    """A place in the trie; `typed` holds the kinds in the order of `paths.KINDS`."""

    literals: dict[str, "_Node"] = field(default_factory=dict)
    typed: dict[str, "_Node"] = field(default_factory=dict)
    plain: "_Node | None" = None
    route: Route | None = None


class _Index:
    """The routes of one method."""

    def __init__(self) -> None:
        self.literal: dict[bytes, Route] = {}
        self._root = _Node()

    def add(self, route: Route) -> None:
        node = self._root
        for segment in route.segments:
            node = _child(node, segment)
        if node.route:
            message = f"{route.name} and {node.route.name} have the same method and shape of path"
            raise ClashError(message)
        node.route = route
        if all(segment.literal for segment in route.segments):
            self.literal[route.path.encode()] = route

    def find(self, segments: list[str]) -> tuple[Route, dict[str, Any]] | None:
        values: list[Any] = []
        route = _walk(self._root, segments, 0, values)
        if route is None:
            return None
        names = (segment.name for segment in route.segments if segment.name)
        return route, dict(zip(names, values, strict=True))


def _child(node: _Node, segment: Segment) -> _Node:
    if segment.literal is not None:
        return node.literals.setdefault(segment.literal, _Node())
    if segment.kind is not None:
        return node.typed.setdefault(segment.kind, _Node())
    node.plain = node.plain or _Node()
    return node.plain


def _walk(node: _Node, segments: list[str], depth: int, values: list[Any]) -> Route | None:
    """Literal before typed before plain, at the leftmost segment first; `values` follows along."""
    if depth == len(segments):
        return node.route
    text = segments[depth]
    child = node.literals.get(text)
    if child and (route := _walk(child, segments, depth + 1, values)):
        return route
    for kind, child in node.typed.items():
        value = paths.KINDS[kind](text)
        if value is not None and (route := _into(child, segments, depth, values, value)):
            return route
    return _into(node.plain, segments, depth, values, text) if node.plain else None


def _into(
    child: _Node, segments: list[str], depth: int, values: list[Any], value: object
) -> Route | None:
    values.append(value)
    route = _walk(child, segments, depth + 1, values)
    if route is None:
        values.pop()
    return route


class Table:
    """All routes and services of one revision. Nothing changes it once it is built."""

    def __init__(self, revision: int, services: Iterable[Service], routes: Iterable[Route]) -> None:
        self.revision = revision
        self.services: Mapping[str, Service] = {service.name: service for service in services}
        self.routes: Mapping[str, Route] = {route.name: route for route in routes}
        self._indexes: dict[str, _Index] = {}
        for route in self.routes.values():
            self._indexes.setdefault(route.method, _Index()).add(route)

    def find(self, method: str, path: bytes) -> tuple[Route, dict[str, Any]] | None:
        """The route of this method and raw path, with the values of the path's params."""
        index = self._indexes.get(method)
        if index is None:
            return None
        route = index.literal.get(path)
        if route:
            return route, {}
        segments = paths.split(path)
        return index.find(segments) if segments else None

    def methods(self, path: bytes) -> list[str]:
        """The methods that some route takes on this raw path."""
        return [method for method in self._indexes if self.find(method, path)]
