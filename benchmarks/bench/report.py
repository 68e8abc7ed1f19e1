"""Tables for a terminal, and the section of the page of results between its two markers."""

import math
import re
from collections.abc import Iterator, Sequence

from bench.bars import bars
from bench.database import ROOT
from bench.load import Run
from bench.results import Goal, WorkloadResult

PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"
PICTURES = ROOT / "docs" / "explanation" / "benchmarks"
BEGIN, END = "<!-- bench -->", "<!-- end bench -->"
_SECTION = re.compile(f"{BEGIN}\n.*?{END}\n", re.DOTALL)
_UNITS = {"rate": "requests a second", "p50": "p50 in ms", "p99": "p99 in ms"}


def goals_table(results: Sequence[WorkloadResult], conditions: Sequence[str]) -> list[str]:
    """The goals and the conditions, for a terminal."""
    goals = table(_GOAL_COLUMNS, _goal_rows(results))
    return ["", *goals, "", *conditions]


def medians_table(result: WorkloadResult) -> list[str]:
    """A table of medians, for a terminal."""
    return ["", result.title, "", *table(_columns(result), list(_rows(result)))]


def write(results: Sequence[WorkloadResult], conditions: Sequence[str]) -> None:
    """Replace the section in the page, and draw the pictures."""
    PICTURES.mkdir(exist_ok=True)
    for result in results:
        column = result.chart_column
        values = {name: getattr(run, column) for name, run in result.medians().items()}
        picture = bars(f"{result.title}: {_UNITS[column]}", values)
        (PICTURES / f"{result.key}.svg").write_text(picture)
    section = "\n".join([BEGIN, *_section(results, conditions), END, ""])
    page = PAGE.read_text()
    if not _SECTION.search(page):
        introduction, heading, remainder = page.partition("\n## ")
        page = f"{introduction}\n{section}{heading}{remainder}"
    PAGE.write_text(_SECTION.sub(lambda _: section, page))


def _section(results: Sequence[WorkloadResult], conditions: Sequence[str]) -> Iterator[str]:
    yield from ("## The gateway beside its peers", "")
    yield (
        "`make bench` writes this section; `.venv-bench/bin/python benchmarks/run.py create` "
        "measures one workload of it, and `--help` lists them."
    )
    yield "Servers take turns, round after round, and every ratio compares servers of one run."
    yield from ("", *(f"- {line}" for line in conditions), "")
    yield from (*table(_GOAL_COLUMNS, _goal_rows(results)), "")
    yield "*measured* is the ratio of medians, and the range of the ratios of single rounds."
    yield (
        "*core* is the load of the server's core: well below 100 %, something else is the limit, "
        "such as another process or another guest of the machine."
    )
    for result in results:
        yield from ("", f"### {result.title}", "", result.description, "")
        yield from table(_columns(result), list(_rows(result)))
        yield from ("", f"![{result.title}](benchmarks/{result.key}.svg)")
    yield ""


_GOAL_COLUMNS = ("what", "goal", "measured", "met")


def _goal_rows(results: Sequence[WorkloadResult]) -> list[tuple[str, ...]]:
    return [_goal_row(goal) for result in results for goal in result.goals]


def _goal_row(goal: Goal) -> tuple[str, ...]:
    met = {True: "yes", False: "**no**", None: "–"}[goal.met]
    return goal.what, goal.goal, goal.measured, met


def _columns(result: WorkloadResult) -> tuple[str, ...]:
    ratio = [result.ratio_heading] if result.ratios() else []
    return ("", "requests/s", *ratio, "p50 ms", "p99 ms", "cpu µs/request", "core")


def _rows(result: WorkloadResult) -> Iterator[tuple[str, ...]]:
    ratios = result.ratios()
    for name, run in result.medians().items():
        ratio = (_number(ratios.get(name, math.nan), 2),) if ratios else ()
        yield name, f"{run.rate:,.0f}", *ratio, *_latencies(run), *_processor(run)


def _latencies(run: Run) -> tuple[str, str]:
    return _number(run.p50, 2), _number(run.p99, 2)


def _processor(run: Run) -> tuple[str, str]:
    """Processor time a request, and the load of the server's core."""
    share = run.rate * run.cpu / 1e4
    return _number(run.cpu, 1), "–" if math.isnan(share) else f"{share:.0f} %"


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table with aligned columns, so that it is also readable in a terminal."""
    table = [columns, *rows]
    widths = [max(len(row[index]) for row in table) for index in range(len(columns))]
    head, *body = [_line(row, widths) for row in table]
    return [head, _line(["-" * width for width in widths], widths), *body]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(map(str.ljust, cells, widths)) + " |"
