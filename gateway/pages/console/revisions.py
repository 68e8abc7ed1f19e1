"""The revisions of the registry: who applied what, when and why, and which workers serve it."""

from datetime import datetime
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gateway.manifest import history
from gateway.manifest.plan import Plan
from gateway.manifest.plan_words import field_lines
from gateway.manifest.records.breaking import breakages
from gateway.manifest.records.change import Change
from gateway.manifest.rollback import UnknownRevisionError
from gateway.monitoring.state import State
from gateway.pages.console.access import Operator
from gateway.pages.console.console import Console, path_id, query_number

PAGE = 50
MAX_READ = 1000
MAX_CHANGES = 200
"""Changes of a revision that its page reads and lists; `gateway history REVISION` lists all."""


class Shown(NamedTuple):
    """A change in the plan's words: what breaks callers, and every field that differs."""

    change: Change
    breaking: tuple[str, ...]
    lines: tuple[str, ...]


class Serving(NamedTuple):
    """The workers that serve one revision, and when the last of them began, if that is known."""

    workers: int
    since: datetime | None


async def index(console: Console, request: Request, operator: Operator) -> Response:
    """The revisions, newest first; `?before=` shows those that are older than a revision."""
    before = query_number(request, "before")
    rows = await console.database().run(
        lambda connection: history.revisions(connection, PAGE + 1, before=before)
    )
    state = await console.watcher.look()
    shown = rows[:PAGE]
    return await console.page(
        "revisions.html",
        operator,
        state=state,
        rows=shown,
        before=before,
        older=shown[-1]["revision"] if len(rows) > PAGE else None,
        # Revision numbers have no gaps, so the page of newer ones ends just above this page.
        newer=(shown[0]["revision"] if shown else 0) + PAGE + 1,
        serving={row["revision"]: _serving(state, row["revision"]) for row in shown},
    )


async def show(console: Console, request: Request, operator: Operator) -> Response:
    """What one revision changed; what breaks callers comes first."""
    revision = path_id(request)
    try:
        plan, number = await console.database().run(
            lambda connection: history.first_changes_of(connection, revision, MAX_READ)
        )
    except UnknownRevisionError:
        return await console.missing(operator, "There is no such revision.")
    state = await console.watcher.look()
    shown = await run_in_threadpool(_shown, plan)
    unread = number - len(plan.changes)
    return await console.page(
        "revision.html",
        operator,
        state=state,
        plan=plan,
        shown=shown[:MAX_CHANGES],
        more=len(shown) - len(shown[:MAX_CHANGES]) + unread,
        serving=_serving(state, revision),
        later=sum(worker.revision > revision for worker in state.alive),
    )


def _serving(state: State, revision: int) -> Serving:
    workers = [worker for worker in state.alive if worker.revision == revision]
    starts = [worker.revision_since for worker in workers if worker.revision_since]
    return Serving(workers=len(workers), since=max(starts, default=None))


def _shown(plan: Plan) -> list[Shown]:
    shown = [
        Shown(change, tuple(breakages(change)), tuple(_lines(change))) for change in plan.steps
    ]
    return sorted(shown, key=lambda change: not change.breaking)


def _lines(change: Change) -> list[Any]:
    return [*field_lines(change)] if change.before and change.after else []
