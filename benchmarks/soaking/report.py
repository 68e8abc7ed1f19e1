"""The report of a soak test for a terminal, and as a section of its page, with its picture."""

import re
import statistics
from collections.abc import Iterable, Iterator

from bench.database import ROOT
from bench.report import table

from soaking.chart import draw
from soaking.results import Soak
from soaking.verdict import Finding, judge

PAGE = ROOT / "docs" / "explanation" / "soak.md"
FOLDER = ROOT / "docs" / "explanation" / "soak"
DATA, PICTURE = FOLDER / "soak.json", FOLDER / "soak.svg"
BEGIN, END = "<!-- soak -->", "<!-- end soak -->"
_SECTION = re.compile(f"{BEGIN}\n.*?{END}\n", re.DOTALL)


def section(soak: Soak) -> Iterator[str]:
    """The lines of the section: conditions, verdict, picture, answers, changes, tables."""
    busy = soak.values("load average")
    yield f"{soak.conditions}."
    yield f"The load average was {statistics.median(busy):.0f} (median), {max(busy):.0f} at most."
    yield from ("", "### The verdict", "")
    yield from table(("what", "measured", "holds"), [_verdict_row(row) for row in judge(soak)])
    yield from ("", "![Memory, descriptors and p99 of a soak test](soak/soak.svg)", "")
    yield from ("### The answers", "")
    yield from table(("call: answer", "count"), _counted(soak.answers.items()))
    yield from ("", "### The changes", "")
    yield from table(("change", "count"), _counted(soak.changes.items()))
    yield from ("", "The longest change of each kind took, in milliseconds:", "")
    longest = [(name, f"{time:,.1f}") for name, time in soak.longest.items()]
    yield from table(("change", "ms"), longest)
    yield from ("", "### The tables at the end", "")
    tables = [(f"`{name}`", f"{rows:,}", f"{mib:,.1f}") for name, rows, mib in soak.tables]
    yield from table(("table", "rows, estimated", "MiB"), tables)
    yield ""
    raised = ", ".join(f"{kind}: {count:,}" for kind, count in soak.notifications) or "none"
    yield f"Notifications during the run: {raised}."


def _verdict_row(row: Finding) -> tuple[str, ...]:
    return row.what, row.measured, {True: "yes", False: "**no**", None: "–"}[row.holds]


def _counted(counts: Iterable[tuple[str, int]]) -> list[tuple[str, str]]:
    return [(name, f"{count:,}") for name, count in sorted(counts)]


def write(soak: Soak) -> None:
    """Replace the section of the page, and write its data and its picture."""
    FOLDER.mkdir(exist_ok=True)
    soak.save(DATA)
    PICTURE.write_text(draw(soak))
    text = "\n".join([BEGIN, *section(soak), END, ""])
    PAGE.write_text(_SECTION.sub(lambda _: text, PAGE.read_text()))
