"""The notifications: what an operator must fix, open and resolved, with what to do about each."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
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
from gateway.pages.console.console import Console, back, field_text, path_id

NOT_OPEN = "The notification is not open any more: an operator resolved it, or the gateway did."
MAX_SHOWN = 50
MAX_QUERY = 200
MAX_FOUND = 500


class Filter(NamedTuple):
    """What `?kind=`, `?q=` and `?state=resolved` choose; an empty field chooses everything."""

    kind: str
    text: str
    resolved: bool

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Filter":
        """The filter of a query."""
        kind, text = (field_text(query, name).strip()[:MAX_QUERY] for name in ("kind", "q"))
        return cls(kind, text, query.get("state") == "resolved")

    @property
    def query(self) -> str:
        """The part of the query that names a kind and a text; empty without either."""
        fields = {"kind": self.kind, "q": self.text}
        return urlencode({name: text for name, text in fields.items() if text})

    def fits(self, notice: Notice) -> bool:
        """Whether an open notification fits; the database does the same for all."""
        fields = (notice.kind, notice.route, notice.message, notice.request_id)
        searched = " ".join(field for field in fields if field)
        return self.kind in {"", notice.kind} and self.text.lower() in searched.lower()


def live(state: State, query: Mapping[str, str]) -> dict[str, Any]:
    """What the live part shows: the open notifications that fit, the last seen first."""
    chosen = Filter.of(query)
    fitting = [notice for notice in state.open if chosen.fits(notice)]
    hidden = 0 if chosen.query else state.open_count - len(state.open)
    return _part(state, chosen, fitting, hidden)


def _part(state: State, chosen: Filter, notices: Sequence[Notice], hidden: int) -> dict[str, Any]:
    return {
        "shown": notices[:MAX_SHOWN],
        "more": len(notices[MAX_SHOWN:]) + hidden,
        "lines": {fault["request_id"]: fault["line"] for fault in state.recent_faults()},
        "by_kind": BY_NAME,
        "chosen": chosen,
    }


async def index(console: Console, request: Request, operator: Operator) -> Response:
    """The notifications that fit; the open ones from memory, unless there are more than it has."""
    query = dict(request.query_params)
    chosen, state = Filter.of(query), await console.watcher.look()
    is_whole = len(state.open) == state.open_count or not chosen.query
    is_live = is_whole and not chosen.resolved
    if is_live:
        part = live(state, query)
    else:
        part = _part(state, chosen, await _found(console, chosen), hidden=0)
    return await console.page(
        "notifications.html",
        operator,
        state=state,
        kinds=KINDS,
        is_live=is_live,
        **part,
    )


async def _found(console: Console, chosen: Filter) -> list[Notice]:
    rows = await console.database().run(
        lambda connection: admin.search(
            connection, MAX_FOUND, kind=chosen.kind, text=chosen.text, resolved=chosen.resolved
        )
    )
    return [Notice.of(dict(row)) for row in rows]


async def resolve(console: Console, request: Request, operator: Operator, form: Form) -> Response:
    """Resolve one notification, in the operator's name."""
    notification_id = path_id(request)
    try:
        await console.database().run(
            lambda connection: admin.resolve(connection, [notification_id], operator.email)
        )
    except NotificationError:
        return await console.missing(operator, NOT_OPEN)
    return _back(form)


async def retry(console: Console, request: Request, operator: Operator, form: Form) -> Response:
    """Retry the messages of one notification; it resolves itself once they are sent."""
    notification_id = path_id(request)
    database = console.database()
    fold = await database.run(lambda connection: admin.fold(connection, notification_id))
    if fold is None:
        return await console.missing(operator, NOT_OPEN)
    group = MessageGroup.of(fault=fold)
    await database.run(lambda connection: outbox.retry_group(connection, group))
    return _back(form)


def _back(form: Form) -> Response:
    """To the open notifications with the filter that the form came from."""
    query = Filter.of(form).query
    return back(f"/notifications?{query}" if query else "/notifications")
