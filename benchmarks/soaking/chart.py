"""The picture of a soak as SVG: memory, descriptors and p99 over the minutes of the run."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from soaking.results import Soak

WIDTH, LEFT, RIGHT = 720, 60, 560
TOP, PANEL, GAP = 66, 120, 58
STYLE = 'font-family="sans-serif" font-size="12" role="img"'
GREY = 'fill="#555555"'
COLOURS = ("#1f5fa8", "#b5482a", "#5a7d2a", "#6b6b6b")
SMOOTH = 30
"""Windows whose median is one point of the thick line of a latency."""

LABEL_DISTANCE = 15
ORDER = ("worker 1", "worker 2", "supervisor")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the small charts; `logarithmic` is true if its scale is."""

    title: str
    series: Mapping[str, Points]
    logarithmic: bool = False


def draw(soak: Soak) -> str:
    """Draw the panels of a run one below the other, on one axis of minutes."""
    panels = _panels(soak)
    height = TOP + len(panels) * (PANEL + GAP)
    title = "Soak test: memory, descriptors and p99"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {STYLE}>',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="14" y="28" font-size="15" fill="#222222">{title}</text>',
    ]
    minutes = max(soak.values("at")) / 60
    for index, panel in enumerate(panels):
        lines += _panel(panel, TOP + index * (PANEL + GAP), minutes)
    return "\n".join([*lines, "</svg>", ""])


def _panels(soak: Soak) -> list[Panel]:
    memory = {process: soak.points(f"{process}: rss") for process in ORDER}
    held = {process: soak.points(f"{process}: fds") for process in ORDER}
    held["database connections"] = soak.points("database connections")
    latencies = {
        "writes": soak.points("writes: p99"),
        "reads": soak.points("reads: p99"),
        "a bare server": soak.points("bare: p99"),
    }
    return [
        Panel("resident memory, MiB", memory),
        Panel("open descriptors and database connections", held),
        Panel(
            "p99, ms: each window of 10 s, and the median of 5 minutes", latencies, logarithmic=True
        ),
        Panel("load average of the machine", {"load average": soak.points("load average")}),
    ]


def _panel(panel: Panel, top: int, minutes: float) -> Iterator[str]:
    values = [value for points in panel.series.values() for _, value in points]
    ticks = decades(min(values), max(values)) if panel.logarithmic else steps(max(values))
    place = _placed(ticks, top, logarithmic=panel.logarithmic)
    yield f'<text x="{LEFT}" y="{top - 12}" fill="#222222">{panel.title}</text>'
    yield from _grid(ticks, place, top, minutes)
    ends = []
    for (name, points), colour in zip(panel.series.items(), COLOURS, strict=False):
        if panel.logarithmic:
            yield _dots([(_x(at / 60, minutes), place(value)) for at, value in points], colour)
        drawn = smooth(points) if panel.logarithmic else points
        spots = [(_x(at / 60, minutes), place(value)) for at, value in drawn]
        path = "L".join(f"{x} {y}" for x, y in spots)
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        ends.append((spots[-1][1], f"{name}, {drawn[-1][1]:,.0f}", colour))
    yield from _labels(ends)


def _dots(spots: Points, colour: str) -> str:
    """Dots as one path of lines without a length: a tenth of the bytes of circles."""
    path = "".join(f"M{x} {y}h0" for x, y in spots)
    style = 'stroke-width="2.4" stroke-linecap="round" stroke-opacity="0.6"'
    return f'<path d="{path}" stroke="{colour}" {style}/>'


def _grid(
    ticks: Sequence[float], place: Callable[[float], float], top: int, minutes: float
) -> Iterator[str]:
    for tick in ticks:
        y = place(tick)
        yield f'<path d="M{LEFT} {y}H{RIGHT}" stroke="#dddddd"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end" {GREY}>{tick:,.10g}</text>'
    for minute in steps(minutes):
        if minute <= minutes:
            x, y = _x(minute, minutes), top + PANEL + 16
            yield f'<text x="{x}" y="{y}" text-anchor="middle" {GREY}>{minute:g}</text>'
    yield f'<text x="{RIGHT + 12}" y="{top + PANEL + 16}" {GREY}>minutes</text>'


def _labels(ends: Sequence[tuple[float, str, str]]) -> Iterator[str]:
    """The names of the lines at their ends, from the lowest up, none over another."""
    limit = math.inf
    for y, text, colour in sorted(ends, reverse=True):
        limit = min(y + 4, limit - LABEL_DISTANCE)
        yield f'<text x="{RIGHT + 12}" y="{round(limit, 1)}" fill="{colour}">{text}</text>'


def _x(minute: float, minutes: float) -> float:
    return round(LEFT + minute / minutes * (RIGHT - LEFT), 1)


def _placed(ticks: Sequence[float], top: int, *, logarithmic: bool) -> Callable[[float], float]:
    """Convert a value to a coordinate of a panel that reaches from the first tick to the last."""
    scale: Callable[[float], float] = math.log if logarithmic else float
    low, high = scale(ticks[0]), scale(ticks[-1])
    return lambda value: round(top + PANEL * (high - scale(value)) / (high - low), 1)


def smooth(points: Points) -> list[tuple[float, float]]:
    """The medians of every `SMOOTH` points that follow each other, at their middle."""
    parts = [points[index : index + SMOOTH] for index in range(0, len(points), SMOOTH)]
    return [
        (statistics.median(x for x, _ in part), statistics.median(y for _, y in part))
        for part in parts
    ]


def steps(highest: float) -> list[float]:
    """Four to eight round numbers from 0 up to at least `highest`."""
    size = 10.0 ** math.floor(math.log10(highest))
    step = next(size * part for part in (0.2, 0.5, 1, 2) if highest / (size * part) <= 6)
    return [round(step * index, 9) for index in range(math.ceil(highest / step) + 1)]


def decades(lowest: float, highest: float) -> list[float]:
    """1, 10, 100 … from at most `lowest` to at least `highest`."""
    first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]
