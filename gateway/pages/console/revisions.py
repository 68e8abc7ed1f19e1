"""The revisions of the registry: who applied what, when and why, and which workers serve it."""

from collections import Counter
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gateway.manifest import history
from gateway.manifest.breaking import breakages
from gateway.manifest.change import Change
from gateway.manifest.plan import Plan
from gateway.manifest.plan_words import field_lines
from gateway.manifest.rollback import UnknownRevisionError
from gateway.pages.console.access import Operator
from gateway.pages.console.console import Console, page_number, path_id

PAGE = 50
MAX_REVISIONS = 1000
MAX_CHANGES = 200
"""Changes of a revision that its page lists; `gateway history REVISION` lists all."""


class Shown(NamedTuple):
    """A change in the plan's words: what breaks callers, and every field that differs."""

    change: Change
    breaking: tuple[str, ...]
    lines: tuple[str, ...]


async def index(console: Console, request: Request, operator: Operator) -> Response:
    """The revisions, newest first, a page at a time."""
    page = page_number(request, MAX_REVISIONS // PAGE)
    rows = await console.database().run(
        lambda connection: history.revisions(connection, page * PAGE + 1)
    )
    state = await console.watcher.look()
    return await console.page(
        "revisions.html",
        operator,
        state=state,
        rows=rows[(page - 1) * PAGE : page * PAGE],
        page_number=page,
        has_more=len(rows) > page * PAGE,
        served=Counter(worker.revision for worker in state.alive),
    )


async def show(console: Console, request: Request, operator: Operator) -> Response:
    """What one revision changed; what breaks callers comes first."""
    revision = path_id(request)
    try:
        plan = await console.database().run(
            lambda connection: history.changes_of(connection, revision)
        )
    except UnknownRevisionError:
        return await console.missing(operator, f"There is no revision {revision}.")
    state = await console.watcher.look()
    shown = _shown(plan)
    return await console.page(
        "revision.html",
        operator,
        state=state,
        plan=plan,
        shown=shown[:MAX_CHANGES],
        more=len(shown) - len(shown[:MAX_CHANGES]),
        serving=[worker for worker in state.alive if worker.revision >= revision],
    )


def _shown(plan: Plan) -> list[Shown]:
    shown = [
        Shown(change, tuple(breakages(change)), tuple(_lines(change))) for change in plan.steps
    ]
    return sorted(shown, key=lambda change: not change.breaking)


def _lines(change: Change) -> list[Any]:
    return [*field_lines(change)] if change.before and change.after else []
