"""A plan as Markdown, for a comment on a merge request; changes that break callers come first."""

from collections.abc import Sequence

from gateway.manifest.plan import Plan
from gateway.manifest.plan_words import KEPT, field_lines
from gateway.manifest.records.breaking import breakages
from gateway.manifest.records.change import Change


def markdown(plan: Plan) -> str:
    """A heading, a table with a row for each change, and the records that are left alone."""
    lines = [f"**Namespace {_code(plan.namespace)}**, at revision {plan.base.number}", ""]
    lines += _table(plan) if plan.changes else ["nothing to change"]
    if plan.left_alone:
        lines += ["", *(f"- {_code(name)}: {KEPT}" for name in plan.left_alone)]
    return "\n".join(lines)


def _table(plan: Plan) -> list[str]:
    rows = [(change, breakages(change)) for change in plan.steps]
    rows.sort(key=lambda row: not row[1])
    lines = [_row(change, broken) for change, broken in rows]
    return ["| change | fields | breaks callers |", "| --- | --- | --- |", *lines]


def _row(change: Change, broken: Sequence[str]) -> str:
    what = f"{change.verb} {change.kind} {_names(change)}"
    return f"| {what} | {_cell(list(field_lines(change)))} | {_cell(broken)} |"


def _names(change: Change) -> str:
    """The name of a change; for a rename the old and the new name."""
    return " → ".join(_code(name) for name in (change.old_name, change.name) if name)


def _cell(texts: Sequence[str]) -> str:
    return "<br>".join(map(_code, texts))


def _code(text: str) -> str:
    """A code span inside a cell: values come from a manifest, and must not become Markdown."""
    # A bar would end the cell, even inside code. The fence is longer than the text's backticks, so
    # that they do not end the code.
    text = " ".join(text.split()).replace("|", "\\|")
    fence = "`"
    while fence in text:
        fence += "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"
