"""The plots of the last hour, drawn on the server as SVG: they need no script."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.monitoring.state import HOUR, Sample
from gateway.pages.render import NOTHING

WIDTH = 300
HEIGHT = 72
COLUMNS = 120
"""A column is half a minute; it shows the largest value of its samples."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot: `line` and `area` are SVG paths in a box of `WIDTH` by `HEIGHT`."""

    title: str
    line: str
    area: str
    now: str
    highest: str
    highest_at: datetime | None


def plot(
    title: str,
    samples: Sequence[Sample],
    value: Callable[[Sample], float],
    written: Callable[[float], str],
    at: datetime,
) -> Plot:
    """The plot of one figure; `written` gives the text of a value."""
    columns = _columns(samples, value, at)
    known = [number for number in columns if number is not None]
    top = max(known, default=0.0) or 1.0
    points = [
        (index * WIDTH / (COLUMNS - 1), HEIGHT - 1 - number / top * (HEIGHT - 4))
        for index, number in enumerate(columns)
        if number is not None
    ]
    best = max((sample for sample in samples if value(sample)), key=value, default=None)
    return Plot(
        title=title,
        line=_path(points),
        area=_area(points),
        now=written(value(samples[-1])) if samples else NOTHING,
        highest=written(value(best)) if best else NOTHING,
        highest_at=best.at if best else None,
    )


def _columns(
    samples: Sequence[Sample], value: Callable[[Sample], float], at: datetime
) -> list[float | None]:
    """The largest value of each column; None where there is no sample."""
    columns: list[float | None] = [None] * COLUMNS
    start = at - HOUR
    for sample in samples:
        share = (sample.at - start) / HOUR
        if 0 <= share < 1 + timedelta(seconds=30) / HOUR:
            index = min(int(share * COLUMNS), COLUMNS - 1)
            columns[index] = max(columns[index] or 0.0, value(sample))
    return columns


def _path(points: Sequence[tuple[float, float]]) -> str:
    if not points:
        return ""
    # A lone column is drawn as a short line; a point has no length.
    shown = points if len(points) > 1 else [*points, (points[0][0] + 1, points[0][1])]
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in shown)


def _area(points: Sequence[tuple[float, float]]) -> str:
    if not points:
        return ""
    return f"{_path(points)} L{points[-1][0]:.1f},{HEIGHT} L{points[0][0]:.1f},{HEIGHT} Z"
