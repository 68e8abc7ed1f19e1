"""A line chart as SVG, with two logarithmic axes and a number at each point."""

import math
from collections.abc import Iterator, Mapping, Sequence

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 50, 310
STYLE = 'font-family="sans-serif" font-size="12" role="img"'
GREY = 'fill="#555555"'
COLOURS = ("#1f5fa8", "#b5482a", "#5a7d2a")

Series = Mapping[str, Sequence[tuple[float, float]]]


def chart(title: str, x_label: str, series: Series) -> str:
    """Draw series of points."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    scale = _Scale((min(xs), max(xs)), (_decade(min(ys)), _decade(max(ys)) * 10))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {STYLE}>',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="26" font-size="15" fill="#222222">{title}</text>',
        f'<text x="{LEFT}" y="{BOTTOM + 40}" {GREY}>{x_label}</text>',
        *_grid(scale, sorted(set(xs))),
    ]
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        lines += _line(name, [(scale.x(x), scale.y(y), y) for x, y in points], colour)
    return "\n".join([*lines, "</svg>", ""])


class _Scale:
    """Converts values to coordinates."""

    def __init__(self, xs: tuple[float, float], ys: tuple[float, float]) -> None:
        self.xs = xs
        self.ys = ys

    def x(self, value: float) -> float:
        share = math.log(value / self.xs[0]) / math.log(self.xs[1] / self.xs[0])
        return round(LEFT + share * (WIDTH - RIGHT - LEFT), 1)

    def y(self, value: float) -> float:
        share = math.log(value / self.ys[0]) / math.log(self.ys[1] / self.ys[0])
        return round(BOTTOM - share * (BOTTOM - TOP), 1)


def _decade(value: float) -> float:
    return 10.0 ** math.floor(math.log10(value))


def _grid(scale: _Scale, xs: Sequence[float]) -> Iterator[str]:
    tick = scale.ys[0]
    while tick <= scale.ys[1]:
        y = scale.y(tick)
        yield f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#dddddd"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end" {GREY}>{tick:,.0f}</text>'
        tick *= 10
    for value in xs:
        x = scale.x(value)
        yield f'<text x="{x}" y="{BOTTOM + 18}" text-anchor="middle" {GREY}>{value:,.0f}</text>'


def _line(name: str, points: Sequence[tuple[float, float, float]], colour: str) -> Iterator[str]:
    path = "L".join(f"{x} {y}" for x, y, _ in points)
    yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y, value in points:
        yield f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'
        yield f'<text x="{x}" y="{y - 8}" text-anchor="middle" fill="{colour}">{value:,.0f}</text>'
    x, y, _ = points[-1]
    yield f'<text x="{x + 34}" y="{y + 4}" fill="{colour}">{name}</text>'
