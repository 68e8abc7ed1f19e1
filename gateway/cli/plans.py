"""Plans and what was applied, for people: coloured on a terminal, plain everywhere else."""

from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from gateway.cli.output import console, json
from gateway.manifest.apply import Applied
from gateway.manifest.breaking import breakages
from gateway.manifest.change import Change
from gateway.manifest.plan import Plan

_MARKS = {"add": ("+", "green"), "change": ("~", "yellow"), "delete": ("-", "red")}
MAX_VALUE_LENGTH = 120


def show_plan(console: Console, plan: Plan) -> None:
    """What would change, field by field, what of it breaks callers, and what is left alone."""
    console.print(f"namespace {plan.namespace}, at revision {plan.base}")
    for change in plan.changes:
        _show(console, change)
    for name in plan.left_alone:
        console.print(f"  {name}: left alone, since only --prune deletes")
    if not plan.changes:
        console.print("  nothing to change")


def _show(console: Console, change: Change) -> None:
    mark, colour = _MARKS[change.verb]
    console.print(Text(f"  {mark} {change.kind} {change.name}", style=colour))
    for field, old, new in change.fields():
        console.print(Text(f"      {field}: {_short(old)} -> {_short(new)}"), soft_wrap=True)
    for words in breakages(change):
        console.print(Text(f"      breaks callers: {words}", style="bold red"))


def _short(value: Any) -> str:  # noqa: ANN401 - JSON is any
    if value is None:
        return "(none)"
    text = orjson.dumps(value).decode()
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}…"


def show_applied(console: Console, applied: Applied) -> None:
    """What was done to a namespace."""
    for change in applied.changes:
        mark, colour = _MARKS[change.verb]
        console.print(Text(f"{mark} {change.kind} {change.name}", style=colour))
    for name in applied.left_alone:
        console.print(f"left alone, since only --prune deletes: {name}")
    outcome = "is at" if applied.changes else "has nothing to change at"
    console.print(f"namespace {applied.namespace} {outcome} revision {applied.revision}")


def tell_applied(applied: list[Applied], *, as_json: bool) -> None:
    """What was done to each namespace, for people or for programs."""
    if as_json:
        json([each.as_object() for each in applied])
        return
    for each in applied:
        show_applied(console(), each)
