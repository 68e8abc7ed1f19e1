"""Tables for a terminal, and the section of docs/benchmarks.md between its two marks."""

import math
import re
from collections.abc import Iterator, Sequence

from bench.bars import bars
from bench.database import ROOT
from bench.load import Run
from bench.results import Found, Goal

PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "benchmarks"
BEGIN, END = "<!-- bench -->", "<!-- end bench -->"
_MARKED = re.compile(f"{BEGIN}\n.*?{END}\n", re.DOTALL)
_UNITS = {"rate": "requests a second", "p50": "p50 in ms", "p99": "p99 in ms"}


def text(found: Sequence[Found], conditions: Sequence[str]) -> list[str]:
    """The goals and the conditions, for a terminal."""
    goals = _table(_GOALS, [_goal(goal) for each in found for goal in each.goals])
    return ["", *goals, "", *conditions]


def plain(found: Found) -> list[str]:
    """A table of medians, for a terminal."""
    return ["", found.title, "", *_table(_columns(found), list(_rows(found)))]


def write(found: Sequence[Found], conditions: Sequence[str]) -> None:
    """Put the section into the page, in the old one's place, and draw the pictures."""
    PICTURES.mkdir(exist_ok=True)
    for each in found:
        values = {name: getattr(run, each.bars) for name, run in each.medians().items()}
        picture = bars(f"{each.title}: {_UNITS[each.bars]}", values)
        (PICTURES / f"{each.key}.svg").write_text(picture)
    section = "\n".join([BEGIN, *_section(found, conditions), END, ""])
    page = PAGE.read_text()
    if not _MARKED.search(page):
        title, blank, rest = page.partition("\n## ")
        page = f"{title}\n{section}{blank}{rest}"
    PAGE.write_text(_MARKED.sub(lambda _: section, page))


def _section(found: Sequence[Found], conditions: Sequence[str]) -> Iterator[str]:
    yield from ("## The gateway beside its peers", "")
    yield "`make bench` writes this section; `python benchmarks/run.py --help` measures a part."
    yield "Servers take turns, round after round, and every ratio is of one run."
    yield from ("", *(f"- {line}" for line in conditions), "")
    yield from (*_table(_GOALS, [_goal(goal) for each in found for goal in each.goals]), "")
    yield "*measured* is the ratio of medians, and the range of the single rounds' ratios."
    yield "*core* is how busy a server keeps it: well below 100 % something else is the limit."
    for each in found:
        yield from ("", f"### {each.title}", "", each.words, "")
        yield from _table(_columns(each), list(_rows(each)))
        yield from ("", f"![{each.title}](benchmarks/{each.key}.svg)")
    yield ""


_GOALS = ("what", "goal", "measured", "met")


def _goal(goal: Goal) -> tuple[str, ...]:
    met = {True: "yes", False: "**no**", None: "–"}[goal.met]
    return goal.what, goal.goal, goal.measured, met


def _columns(found: Found) -> tuple[str, ...]:
    ratio = [found.ratio] if found.ratios() else []
    return ("", "requests/s", *ratio, "p50 ms", "p99 ms", "cpu µs/request", "core")


def _rows(found: Found) -> Iterator[tuple[str, ...]]:
    ratios = found.ratios()
    for name, run in found.medians().items():
        ratio = (_number(ratios.get(name, math.nan), 2),) if ratios else ()
        yield name, f"{run.rate:,.0f}", *ratio, *_latencies(run), *_processor(run)


def _latencies(run: Run) -> tuple[str, str]:
    return _number(run.p50, 2), _number(run.p99, 2)


def _processor(run: Run) -> tuple[str, str]:
    """Time a request, and the share of the server's core: below all of it, others set the pace."""
    share = run.rate * run.cpu / 1e4
    return _number(run.cpu, 1), "–" if math.isnan(share) else f"{share:.0f} %"


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown that lines up, so that a terminal shows it well too."""
    lines = [columns, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    drawn = [_line(line, widths) for line in lines]
    return [drawn[0], _line(["-" * width for width in widths], widths), *drawn[1:]]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(map(str.ljust, cells, widths)) + " |"
