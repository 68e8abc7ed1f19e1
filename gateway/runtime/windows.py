"""Counts of requests in windows of a few seconds, from which the console draws the last hour.

The metrics count since a worker's start, for a monitoring system that keeps their history. A window
has what happened since the one before, so that windows of several workers can be added up.
"""

import collections
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.statuses import Fault

BOUNDS = (
    *(0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05),
    *(0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds in seconds of the classes of durations; a last class has those above."""

MAX_ROUTES = 50
"""Routes of a window that are counted by name: those with faults first, then the busiest."""

MAX_WINDOWS = 12
"""Closed windows that a worker keeps until they have been added up."""

FAULTS: tuple[Fault, ...] = ("gateway", "dependency")
"""The faults that an operator can do something about."""


class _RouteCounts:
    """The requests of one route in a window."""

    def __init__(self) -> None:
        self.slugs: collections.Counter[str] = collections.Counter()
        self.durations: collections.Counter[int] = collections.Counter()
        self.faults = 0

    def as_json(self) -> dict[str, Any]:
        """The counts, with the classes of durations as text, since they are keys."""
        durations = {str(index): count for index, count in self.durations.items()}
        return {"slugs": dict(self.slugs), "durations": durations, "faults": self.faults}


class _Window:
    """What happened since the last window was closed."""

    def __init__(self) -> None:
        self.requests = 0
        self.faults: collections.Counter[Fault] = collections.Counter()
        self.durations: collections.Counter[int] = collections.Counter()
        self.routes: dict[str, _RouteCounts] = collections.defaultdict(_RouteCounts)

    def as_json(self, number: int) -> dict[str, Any]:
        named = sorted(
            self.routes.items(), key=lambda item: (-item[1].faults, -item[1].slugs.total())
        )
        return {
            "number": number,
            "requests": self.requests,
            "faults": dict(self.faults),
            "durations": [self.durations[index] for index in range(len(BOUNDS) + 1)],
            "routes": {name: counts.as_json() for name, counts in named[:MAX_ROUTES]},
        }


class Windows:
    """The windows of one worker: the open one, and the last `MAX_WINDOWS` closed ones."""

    def __init__(self) -> None:
        self._open = _Window()
        self._number = 0
        self.closed: collections.deque[Mapping[str, Any]] = collections.deque(maxlen=MAX_WINDOWS)

    def add(self, route: str, slug: str, fault: Fault, seconds: Sequence[float]) -> None:
        """Count requests of a route (empty if none was found) with the same status."""
        window, counts = self._open, self._open.routes[route]
        durations = collections.Counter(bisect_left(BOUNDS, value) for value in seconds)
        for counter in (window.durations, counts.durations):
            counter.update(durations)
        counts.slugs[slug] += len(seconds)
        window.requests += len(seconds)
        window.faults[fault] += len(seconds)
        if fault in FAULTS:
            counts.faults += len(seconds)

    def close(self) -> None:
        """Close the open window and begin another."""
        self._number += 1
        self.closed.append(self._open.as_json(self._number))
        self._open = _Window()


def quantile(durations: Sequence[int], share: float) -> float | None:
    """The seconds below which a share of the durations lies; None without any.

    Interpolated within the class, as Prometheus does in `histogram_quantile`; the last class has no
    upper bound, so its lower one is returned.
    """
    total = sum(durations)
    if not total:
        return None
    rank, below = share * total, 0
    for index, count in enumerate(durations):
        if below + count >= rank and count:
            lower = BOUNDS[index - 1] if index else 0.0
            if index == len(BOUNDS):
                return lower
            return lower + (BOUNDS[index] - lower) * (rank - below) / count
        below += count
    return BOUNDS[-1]
