"""A horizontal bar chart as SVG: each bar has its number, the gateway's has its own colour."""

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 720, 230, 80
TOP, STEP, THICK = 50, 26, 18
STYLE = 'font-family="sans-serif" font-size="12" role="img"'
OWN, OTHER, GREY = "#1f5fa8", "#b9c3cc", 'fill="#333333"'


def bars(title: str, values: Mapping[str, float]) -> str:
    """Draw values by name, from the top down."""
    height = TOP + STEP * len(values) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {STYLE}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="14" y="28" font-size="15" fill="#222222">{escape(title)}</text>',
    ]
    longest = max(values.values())
    for index, (name, value) in enumerate(values.items()):
        lines += _bar(name, value, value / longest, TOP + STEP * index)
    return "\n".join([*lines, "</svg>", ""])


def _bar(name: str, value: float, share: float, y: int) -> Iterator[str]:
    width = round(share * (WIDTH - LEFT - RIGHT), 1)
    colour = OWN if name.startswith("gateway") else OTHER
    label = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    baseline = y + THICK - 5
    yield f'<text x="{LEFT - 8}" y="{baseline}" text-anchor="end" {GREY}>{escape(name)}</text>'
    yield f'<rect x="{LEFT}" y="{y}" width="{width}" height="{THICK}" fill="{colour}"/>'
    yield f'<text x="{LEFT + width + 6}" y="{baseline}" {GREY}>{label}</text>'
