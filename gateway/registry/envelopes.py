"""The envelope of a path that no route has: the one that the routes near it share."""

from collections import Counter
from collections.abc import Iterable

from gateway.registry import paths
from gateway.registry.overlay_map import OverlayMap
from gateway.registry.records import Route

DEFAULT = "plano"


def _first_segment(route: Route) -> str:
    """The first segment of a pattern; `Route.segments` would parse all of them again."""
    return route.path[1:].partition("/")[0]


class EnvelopeIndex:
    """How many routes of each envelope are below each first segment.

    Grouped by envelope: there are few envelopes, but perhaps as many first segments as routes.
    """

    __slots__ = ("_building", "_counts")

    def __init__(self) -> None:
        self._building: dict[str, dict[str, int]] = {}
        self._counts: dict[str, OverlayMap[str, int]] = {}

    def add(self, route: Route) -> None:
        """Count a route while the table is being built."""
        segment = _first_segment(route)
        counts = self._building.get(route.envelope)
        if counts is None:
            counts = self._building[route.envelope] = {}
            self._counts[route.envelope] = OverlayMap(counts)
        counts[segment] = counts.get(segment, 0) + 1

    def with_changes(self, removed: Iterable[Route], added: Iterable[Route]) -> "EnvelopeIndex":
        """A copy that does not count some routes, and counts others."""
        index = EnvelopeIndex()
        index._counts = {**self._counts}
        deltas = Counter((route.envelope, _first_segment(route)) for route in added)
        deltas.subtract((route.envelope, _first_segment(route)) for route in removed)
        for (envelope, segment), delta in deltas.items():
            counts = index._counts.get(envelope) or OverlayMap({})
            count = (counts.find(segment) or 0) + delta
            index._counts[envelope] = counts.with_changes({segment: count or None})
        return index

    def find(self, path: bytes) -> str:
        """The envelope that all routes below the raw path's first segment share, or the default."""
        segment = paths.first_segment(path)
        if "{" in segment:  # a param of a pattern, which no path has in common with another
            return DEFAULT
        shared = [envelope for envelope, counts in self._counts.items() if counts.find(segment)]
        return shared[0] if len(shared) == 1 else DEFAULT
