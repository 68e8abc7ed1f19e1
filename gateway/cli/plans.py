"""Plans and applied changes, for people: coloured on a terminal, plain everywhere else."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from gateway.cli.output import console, print_json
from gateway.manifest.apply import Applied
from gateway.manifest.breaking import breakages
from gateway.manifest.change import Change
from gateway.manifest.plan import Plan

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {"add": ("+", "green"), "change": ("~", "yellow"), "delete": ("-", "red")}
MAX_VALUE_LENGTH = 120
"""Characters of JSON after which a value is cut off."""


def print_plan(console: "Console", plan: Plan) -> None:
    """Print a plan's changes field by field, what breaks callers, and what prune would delete."""
    console.print(f"namespace {plan.namespace}, at revision {plan.base}")
    for change in plan.changes:
        _print_change(console, change)
    for name in plan.left_alone:
        console.print(f"  {name}: kept, although the manifest leaves it out; --prune deletes it")
    if not plan.changes:
        console.print("  nothing to change")


def _print_change(console: "Console", change: Change) -> None:
    mark, colour = _MARKS[change.verb]
    console.print(f"  {mark} {change.kind} {change.name}", style=colour)
    for field, old, new in change.fields():
        console.print(f"      {field}: {_shorten(old)} -> {_shorten(new)}", soft_wrap=True)
    for reason in breakages(change):
        console.print(f"      breaks callers: {reason}", style="bold red")


def _shorten(value: Any) -> str:  # noqa: ANN401 - JSON is any
    if value is None:
        return "(none)"
    text = orjson.dumps(value).decode()
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}…"


def print_applied(console: "Console", applied: Applied) -> None:
    """Print the changes that were written to a namespace."""
    for change in applied.changes:
        mark, colour = _MARKS[change.verb]
        console.print(f"{mark} {change.kind} {change.name}", style=colour)
    for name in applied.left_alone:
        console.print(f"kept, although the manifest leaves it out: {name}")
    outcome = "is at" if applied.changes else "has nothing to change at"
    console.print(f"namespace {applied.namespace} {outcome} revision {applied.revision}")


def print_results(results: Sequence[Applied], *, as_json: bool) -> None:
    """Print what was written to each namespace."""
    if as_json:
        print_json([applied.as_object() for applied in results])
        return
    for applied in results:
        print_applied(console(), applied)
