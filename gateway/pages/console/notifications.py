"""The notifications: what an operator must fix, open and resolved, with what to do about each."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway.monitoring.state import Notice, State
from gateway.notifications import admin
from gateway.notifications.admin import NotificationError
from gateway.notifications.kinds import BY_NAME, KINDS
from gateway.outbox import admin as outbox
from gateway.outbox.admin import MessageGroup
from gateway.pages.console.access import Form, Operator
from gateway.pages.console.console import Console, back, path_id

MAX_SHOWN = 50
MAX_QUERY = 200
MAX_RESOLVED = 200


def live(state: State, query: Mapping[str, str]) -> Mapping[str, Any]:
    """What the live part shows: the open notifications that fit, the last seen first."""
    return _part(state, state.open, query, resolved=False)


def _part(
    state: State, notices: Sequence[Notice], query: Mapping[str, str], *, resolved: bool
) -> Mapping[str, Any]:
    kind, text = query.get("kind", ""), query.get("q", "").strip()[:MAX_QUERY].lower()
    fitting = [notice for notice in notices if _fits(notice, kind, text)]
    return {
        "shown": fitting[:MAX_SHOWN],
        "more": len(fitting) - len(fitting[:MAX_SHOWN]),
        "lines": {fault["request_id"]: fault["line"] for fault in state.recent_faults()},
        "by_kind": BY_NAME,
        "is_filtered": bool(kind or text),
        "resolved": resolved,
    }


def _fits(notice: Notice, kind: str, text: str) -> bool:
    searched = f"{notice.kind} {notice.route or ''} {notice.message} {notice.request_id or ''}"
    return kind in {"", notice.kind} and text in searched.lower()


async def index(console: Console, request: Request, operator: Operator) -> Response:
    """The open notifications from memory, or with `?state=resolved` the resolved ones."""
    query = dict(request.query_params)
    resolved = query.get("state") == "resolved"
    state = await console.watcher.look()
    notices = await _resolved(console) if resolved else state.open
    kept = {name: query[name] for name in ("kind", "q") if query.get(name)}
    return await console.page(
        "notifications.html",
        operator,
        state=state,
        kinds=KINDS,
        kind=query.get("kind", ""),
        q=query.get("q", ""),
        query=f"&{urlencode(kept)}" if kept else "",
        **_part(state, notices, query, resolved=resolved),
    )


async def _resolved(console: Console) -> list[Notice]:
    rows = await console.database().run(lambda connection: admin.resolved(connection, MAX_RESOLVED))
    return [Notice.of({**row, "messages": 0}) for row in rows]


async def resolve(console: Console, request: Request, operator: Operator, _: Form) -> Response:
    """Resolve one notification, in the operator's name."""
    notification_id = path_id(request)
    try:
        await console.database().run(
            lambda connection: admin.resolve(connection, [notification_id], operator.email)
        )
    except NotificationError as error:
        return await console.missing(operator, f"{error}.")
    return back("/notifications")


async def retry(console: Console, request: Request, operator: Operator, _: Form) -> Response:
    """Retry the messages of one notification; it resolves itself once they are sent."""
    notification_id = path_id(request)
    database = console.database()
    fold = await database.run(lambda connection: admin.fold(connection, notification_id))
    if fold is None:
        return await console.missing(operator, "The notification is not open any more.")
    group = MessageGroup.of(fault=fold)
    await database.run(lambda connection: outbox.retry_group(connection, group))
    return back("/notifications")
