"""A trie of path patterns, in which a change copies the path to one route and shares the rest."""

from typing import Any

from gateway.registry import paths
from gateway.registry.paths import Segment
from gateway.registry.records import Route

_NONE: dict[str, "Node"] = {}


class ClashError(ValueError):
    """Two routes have the same method and the same shape of path."""

    def __init__(self, name: str, there: str) -> None:
        super().__init__(f"{name} and {there} have the same method and shape of path")


class Node:
    """A place in a trie. `typed` is keyed by kind, as in `paths.KINDS`."""

    __slots__ = ("literals", "plain", "route", "typed")

    def __init__(self, route: Route | None = None) -> None:
        # Most places are leaves: they share one empty dictionary, which is replaced, not filled.
        self.literals = _NONE
        self.typed = _NONE
        self.plain: Node | None = None
        self.route = route

    def copy(self) -> "Node":
        """A copy that may be changed: its dictionaries are its own."""
        node = Node(self.route)
        node.literals = dict(self.literals) if self.literals else _NONE
        node.typed = dict(self.typed) if self.typed else _NONE
        node.plain = self.plain
        return node

    def child(self, segment: Segment) -> "Node | None":
        """What is below, for a segment of a pattern."""
        if segment.literal is not None:
            return self.literals.get(segment.literal)
        return self.typed.get(segment.kind) if segment.kind else self.plain

    def children(self) -> list["Node"]:
        """All that is right below."""
        below = [*self.literals.values(), *self.typed.values()]
        return [*below, self.plain] if self.plain else below

    def put(self, segment: Segment, child: "Node | None") -> None:
        """Set or, with None, take away what is below."""
        if segment.literal is not None:
            self.literals = _put(self.literals, segment.literal, child)
        elif segment.kind:
            self.typed = _put(self.typed, segment.kind, child)
        else:
            self.plain = child

    @property
    def is_empty(self) -> bool:
        """Whether nothing is here and nothing below."""
        return not (self.route or self.literals or self.typed or self.plain)


def _put(children: dict[str, Node], key: str, child: Node | None) -> dict[str, Node]:
    if children is _NONE:
        children = {}
    if child is None:
        children.pop(key, None)
    else:
        children[key] = child
    return children


def add(root: Node, route: Route) -> None:
    """Put a route into a trie that nobody reads yet. Raises ClashError."""
    node = root
    for segment in route.segments:
        below = node.child(segment)
        if below is None:
            below = Node()
            node.put(segment, below)
        node = below
    _refuse_clash(node.route, route)
    node.route = route


def changed(
    node: Node | None, segments: tuple[Segment, ...], depth: int, route: Route | None
) -> Node | None:
    """A trie with a route set at a pattern or, with None, taken away; None if nothing is left.

    Only the path to the pattern is copied. Raises ClashError if another route is there.
    """
    node = node.copy() if node else Node()
    if depth == len(segments):
        if route:
            _refuse_clash(node.route, route)
        node.route = route
    else:
        segment = segments[depth]
        node.put(segment, changed(node.child(segment), segments, depth + 1, route))
    return None if node.is_empty else node


def _refuse_clash(there: Route | None, route: Route) -> None:
    if there:
        raise ClashError(route.name, there.name)


def find(node: Node, segments: list[str], depth: int, values: list[Any]) -> Route | None:
    """Literal before typed before plain, at the leftmost segment first; `values` follows along."""
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
    """What is below a place where the segment before `depth` is a param."""
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
