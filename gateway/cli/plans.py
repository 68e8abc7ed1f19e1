"""Plans and applied changes, for people: coloured on a terminal, plain everywhere else."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.cli.output import console, print_json
from gateway.cli.plan_markdown import markdown
from gateway.manifest.apply import Applied
from gateway.manifest.plan import Plan
from gateway.manifest.plan_words import KEPT, field_lines
from gateway.manifest.records.breaking import breakages
from gateway.manifest.records.change import Change

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {
    "add": ("+", "green"),
    "change": ("~", "yellow"),
    "delete": ("-", "red"),
    "rename": (">", "cyan"),
}


def print_plan(console: "Console", plan: Plan) -> None:
    """Print a plan's changes field by field, what breaks callers, and what prune would delete."""
    console.print(f"namespace {plan.namespace}, at revision {plan.base.number}")
    for change in plan.steps:
        _print_change(console, change, indent="  ")
        for line in field_lines(change):
            console.print(f"      {line}", soft_wrap=True)
        _print_breakages(console, change, indent="      ")
    for name in plan.left_alone:
        console.print(f"  {name}: {KEPT}")
    if not plan.changes:
        console.print("  nothing to change")


def _print_change(console: "Console", change: Change, *, indent: str) -> None:
    mark, colour = _MARKS[change.verb]
    console.print(f"{indent}{mark} {change.kind} {_name(change)}", style=colour)


def _print_breakages(console: "Console", change: Change, *, indent: str) -> None:
    for reason in breakages(change):
        console.print(f"{indent}breaks callers: {reason}", style="bold red")


def _name(change: Change) -> str:
    return f"{change.old_name} → {change.name} (renamed)" if change.old_name else change.name


def print_applied(console: "Console", applied: Applied) -> None:
    """Print the changes that were written to a namespace, and what breaks callers."""
    for change in applied.steps:
        _print_change(console, change, indent="")
        _print_breakages(console, change, indent="    ")
    for name in applied.left_alone:
        console.print(f"{name}: {KEPT}")
    outcome = "is at" if applied.changes else "has nothing to change at"
    console.print(f"namespace {applied.namespace} {outcome} revision {applied.revision}")


def print_results(results: Sequence[Applied], *, as_json: bool) -> None:
    """Print what was written to each namespace."""
    if as_json:
        print_json([applied.as_object() for applied in results])
        return
    for applied in results:
        print_applied(console(), applied)


def print_plans(plans: Sequence[Plan], *, output_format: str) -> None:
    """Print plans as text, `json` or `markdown`."""
    if output_format == "json":
        print_json([plan.as_object() for plan in plans])
    for plan in plans:
        if output_format == "text":
            print_plan(console(), plan)
        elif output_format == "markdown":
            console().print(markdown(plan), soft_wrap=True, end="\n\n")
