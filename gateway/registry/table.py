"""The immutable table of routes: for each method a dictionary and a trie.

A change creates a new table that shares everything unchanged with the old one.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from gateway.registry import paths, trie
from gateway.registry.envelopes import EnvelopeIndex
from gateway.registry.overlay_map import OverlayMap
from gateway.registry.paths import Segment
from gateway.registry.records import ApplicationRecord, Route, Service
from gateway.registry.revision import Revision
from gateway.registry.trie import ClashError, Node

__all__ = ["ClashError", "Match", "Table"]

R = TypeVar("R")

_NO_CHANGES: Mapping[str, Any] = MappingProxyType({})


class Match(NamedTuple):
    """A route, the values of its path's params by name, and the table that has the route."""

    route: Route
    path_params: Mapping[str, Any]
    table: "Table"


class _Index:
    """The routes of one method: those without path params by path, and all of them in a trie."""

    __slots__ = ("literal", "root")

    def __init__(self, literal: OverlayMap[bytes, Route], root: Node) -> None:
        self.literal = literal
        self.root = root

    def with_changes(self, removed: Iterable[Route], added: Iterable[Route]) -> "_Index":
        """A copy without some routes and with others. Raises ClashError."""
        root: Node | None = self.root
        literal: dict[bytes, Route | None] = {}
        for route in removed:
            root = trie.with_route(root, route.segments, 0, None)
            literal[route.path.encode()] = None
        for route in added:
            root = trie.with_route(root, route.segments, 0, route)
            literal[route.path.encode()] = route if _is_literal(route) else None
        return _Index(self.literal.with_changes(literal), root or Node())


def _is_literal(route: Route) -> bool:
    return "{" not in route.path


def _merged(records: Mapping[str, R], changes: Mapping[str, R | None]) -> Mapping[str, R]:
    merged = {**records, **changes}
    return {name: record for name, record in merged.items() if record is not None}


class Table:
    """All records of one revision; immutable as soon as requests read it."""

    def __init__(
        self,
        revision: int,
        services: Iterable[Service] = (),
        routes: Iterable[Route] = (),
        applications: Iterable[ApplicationRecord] = (),
        *,
        revision_uid: UUID | None = None,
    ) -> None:
        self.revision = revision
        self.revision_uid = revision_uid
        self.applications: Mapping[str, ApplicationRecord] = {a.slug: a for a in applications}
        self.services: Mapping[str, Service] = {service.name: service for service in services}
        self._routes: dict[str, Route] = {}
        self._literal: dict[str, dict[bytes, Route]] = {}
        self.routes: OverlayMap[str, Route] = OverlayMap(self._routes)
        self._indexes: dict[str, _Index] = {}
        self.envelopes = EnvelopeIndex()
        for route in routes:
            self.add(route)

    @property
    def identity(self) -> Revision:
        """The revision with its random id, to compare it with those of the database."""
        return Revision(number=self.revision, uid=self.revision_uid)

    def add(self, route: Route) -> None:
        """Add a route while the table is being built. Raises ClashError."""
        index = self._indexes.get(route.method)
        if index is None:
            self._literal[route.method] = {}
            index = _Index(OverlayMap(self._literal[route.method]), Node())
            self._indexes[route.method] = index
        trie.add(index.root, route)
        self.envelopes.add(route)
        self._routes[route.name] = route
        if _is_literal(route):
            self._literal[route.method][route.path.encode()] = route

    def with_changes(
        self,
        revision: int,
        services: Mapping[str, Service | None],
        routes: Mapping[str, Route | None],
        applications: Mapping[str, ApplicationRecord | None] = _NO_CHANGES,
        *,
        revision_uid: UUID | None = None,
    ) -> "Table":
        """The table of a later revision; None deletes a record. Raises ClashError."""
        table = Table(revision, revision_uid=revision_uid)
        table.services = _merged(self.services, services)
        table.applications = _merged(self.applications, applications)
        table.routes = self.routes.with_changes(routes)
        removed = [route for name in routes if (route := self.routes.get(name))]
        added = [route for route in routes.values() if route]
        table.envelopes = self.envelopes.with_changes(removed, added)
        table._indexes = {**self._indexes}
        for method in {route.method for route in (*removed, *added)}:
            index = self._indexes.get(method) or _Index(OverlayMap({}), Node())
            table._indexes[method] = index.with_changes(
                [route for route in removed if route.method == method],
                [route for route in added if route.method == method],
            )
        return table

    def find(self, method: str, path: bytes) -> Match | None:
        """The route for a method and a raw path, with the values of the path's params."""
        index = self._indexes.get(method)
        if index is None:
            return None
        route = index.literal.find(path)
        if route:
            return Match(route, {}, self)
        segments = paths.split(path)
        return self._with_values(index, segments) if segments else None

    def _with_values(self, index: _Index, segments: list[str]) -> Match | None:
        values: list[Any] = []
        route = trie.find(index.root, segments, 0, values)
        if route is None:
            return None
        return Match(route, dict(zip(route.path_params, values, strict=True)), self)

    def methods(self, path: bytes) -> list[str]:
        """The methods that have a route for a raw path."""
        return [method for method in self._indexes if self.find(method, path)]

    def with_pattern(self, segments: tuple[Segment, ...]) -> list[Route]:
        """The routes whose path is this pattern, but for the names of params: one for a method."""
        nodes = (trie.at(index.root, segments) for index in self._indexes.values())
        return [node.route for node in nodes if node and node.route]

    def parts(self) -> Iterator[Route | Node]:
        """The routes and trie nodes of the table; parents come before their children."""
        nodes = [index.root for index in self._indexes.values()]
        while nodes:
            node = nodes.pop()
            nodes += node.children()
            yield node
        yield from self.routes.values()

    def root(self, method: str) -> Node | None:
        """The trie of a method; `explain` reads it to say why a path is not found."""
        index = self._indexes.get(method)
        return index.root if index else None
