"""A trie of path patterns: a change copies the nodes above one route and shares the others."""

from typing import Any

from gateway.registry import paths
from gateway.registry.paths import Segment
from gateway.registry.records import Route

_NO_CHILDREN: dict[str, "Node"] = {}


class ClashError(ValueError):
    """Two routes have the same method and the same path shape."""

    def __init__(self, name: str, other: str) -> None:
        super().__init__(f"the routes {name} and {other} clash: they match the same requests")


class Node:
    """A node of a trie. `typed` is keyed by type, as in `paths.KINDS`."""

    __slots__ = ("literals", "plain", "route", "typed")

    def __init__(self, route: Route | None = None) -> None:
        # Most nodes are leaves: they share one empty dictionary, which is replaced, never filled.
        self.literals = _NO_CHILDREN
        self.typed = _NO_CHILDREN
        self.plain: Node | None = None
        self.route = route

    def copy(self) -> "Node":
        """A copy with dictionaries of its own, so that it may be changed."""
        node = Node(self.route)
        node.literals = dict(self.literals) if self.literals else _NO_CHILDREN
        node.typed = dict(self.typed) if self.typed else _NO_CHILDREN
        node.plain = self.plain
        return node

    def child(self, segment: Segment) -> "Node | None":
        """The child for a segment of a pattern."""
        if segment.literal is not None:
            return self.literals.get(segment.literal)
        return self.typed.get(segment.kind) if segment.kind else self.plain

    def children(self) -> list["Node"]:
        """All direct children."""
        children = [*self.literals.values(), *self.typed.values()]
        return [*children, self.plain] if self.plain else children

    def put(self, segment: Segment, child: "Node | None") -> None:
        """Set the child for a segment or, with None, remove it."""
        if segment.literal is not None:
            self.literals = _put(self.literals, segment.literal, child)
        elif segment.kind:
            self.typed = _put(self.typed, segment.kind, child)
        else:
            self.plain = child

    @property
    def is_empty(self) -> bool:
        """Whether the node has neither a route nor children."""
        return not (self.route or self.literals or self.typed or self.plain)


def _put(children: dict[str, Node], key: str, child: Node | None) -> dict[str, Node]:
    if children is _NO_CHILDREN:
        children = {}
    if child is None:
        children.pop(key, None)
    else:
        children[key] = child
    return children


def add(root: Node, route: Route) -> None:
    """Add a route to a trie that no request reads yet. Raises ClashError."""
    node = root
    for segment in route.segments:
        child = node.child(segment)
        if child is None:
            child = Node()
            node.put(segment, child)
        node = child
    _refuse_clash(node.route, route)
    node.route = route


def at(root: Node, segments: tuple[Segment, ...]) -> Node | None:
    """The node of a pattern."""
    node: Node | None = root
    for segment in segments:
        node = node.child(segment) if node else None
    return node


def with_route(
    node: Node | None, segments: tuple[Segment, ...], depth: int, route: Route | None
) -> Node | None:
    """A trie with a pattern's route set or, with None, removed; None if the trie becomes empty.

    Copies only the nodes above the pattern. Raises ClashError if the pattern has another route.
    """
    node = node.copy() if node else Node()
    if depth == len(segments):
        if route:
            _refuse_clash(node.route, route)
        node.route = route
    else:
        segment = segments[depth]
        node.put(segment, with_route(node.child(segment), segments, depth + 1, route))
    return None if node.is_empty else node


def _refuse_clash(other: Route | None, route: Route) -> None:
    if other:
        raise ClashError(route.name, other.name)


def find(node: Node, segments: list[str], depth: int, values: list[Any]) -> Route | None:
    """The route of a path: literal before typed before plain, decided from the left.

    Appends the values of the params to `values`.
    """
    while depth < len(segments):
        child = node.literals.get(segments[depth])
        depth += 1
        if node.typed or node.plain:
            if child and (route := find(child, segments, depth, values)):
                return route
            return _find_param(node, segments, depth, values)
        if child is None:
            return None
        node = child
    return node.route


def _find_param(node: Node, segments: list[str], depth: int, values: list[Any]) -> Route | None:
    """The route of a path whose segment before `depth` is a param: typed before plain."""
    text = segments[depth - 1]
    for kind, child in node.typed.items():
        value = paths.KINDS[kind](text)
        if value is not None and (route := _find_below(child, segments, depth, values, value)):
            return route
    return _find_below(node.plain, segments, depth, values, text) if node.plain else None


def _find_below(
    child: Node, segments: list[str], depth: int, values: list[Any], value: object
) -> Route | None:
    values.append(value)
    route = find(child, segments, depth, values)
    if route is None:
        values.pop()
    return route
