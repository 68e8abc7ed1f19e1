"""Order stages: the history of an order, and its current status."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from asyncpg import Record

from gateway import (
    RETRY_SINGLY,
    Call,
    Database,
    Outcome,
    QueuedMail,
    Rejection,
    Reply,
    batched,
    load_queries,
    statuses,
)

from . import orders
from .mountain_time import MountainTimeError, parse

_SQL = load_queries(__file__)

_TIMES = {
    "stage_at_mt": "stage_start_at",
    "created_at_mt": "created_at_fm",
    "notified_at_mt": "notified_at",
}
"""Params in Mountain Time, and their columns."""

_COLUMNS = {
    "order": {
        "notes": "order_notes",
        "cancel_reason": "order_cancel_reason",
        "cancel_note": "order_cancel_note",
    },
    "appointment": {"cancel_reason": "appt_cancel_reason", "cancel_note": "appt_cancel_note"},
}
"""Nested params whose columns have another name."""

_CHECKS = {
    **orders.CHECKS,
    "has_creator": ("created_by_id", "unknown user"),
    "has_updater": ("updated_by_id", "unknown user"),
    "has_client": ("client.client_id", "unknown client"),
}
"""The checks of the statement, with the param and the message of each failed one."""

_NO_EVENTS: Mapping[str, Any] = {}

_PAGE_SIZE = 50


def _order_key(call: Call) -> object:
    """Calls for one order run one after the other, since its status has one row."""
    order = call.params.get("order_id")
    return ("request", call.params["order_request_id"]) if order is None else order


@batched(partition_key=_order_key)
async def create(calls: Sequence[Call], db: Database, *, singly: bool) -> list[Outcome]:
    """Insert a row into order_stages and, with `update_status`, set the order's order_statuses row.

    One statement also queues the mails of events, so that stage, status and mail commit together or
    not at all. Only a call that runs singly waits for an order that another transaction has locked.
    """
    parsed = [_parse(call) for call in calls]
    rows_in = [
        {**_columns(call), **parts, "i": i, "valid": not errors, "ticket": call.mail.ticket}
        for i, (call, (parts, errors)) in enumerate(zip(calls, parsed, strict=True))
    ]
    rows = await db.fetch(_SQL["create"], rows_in, singly)
    return [
        _outcome(row, call, errors)
        for row, call, (_, errors) in zip(rows, calls, parsed, strict=True)
    ]


async def history(call: Call) -> Reply:
    """List the stages of an order, newest first, a page at a time."""
    page = call.params.get("page", {})
    size = page.get("size", _PAGE_SIZE)
    # A page beyond the range of PostgreSQL's bigint is empty, like any page after the last.
    offset = min((page.get("number", 1) - 1) * size, 2**62)
    with_count = call.params.get("count", False)
    arguments = *orders.find_arguments(call), size, offset, with_count
    row = orders.found(await call.db.fetchrow(_SQL["history"], *arguments))
    count = {"count": row["count"]} if with_count else {}
    return Reply({"results": orjson.Fragment(row["results"]), **count})


def _unused(params: dict[str, Any]) -> tuple[str, ...]:
    """The params that only an update of the status row uses, if there is no such update."""
    names = () if params["update_status"] else ("appointment", "client", "order")
    return tuple(name for name in names if name in params)


def _outcome(row: Record, call: Call, errors: list[Any]) -> Outcome:
    """The outcome of one call: its rows as JSON, or its errors."""
    if errors := errors + orders.failed_checks(row, _CHECKS):
        return Rejection(statuses.INVALID_PARAM, errors=errors)
    if row["goes_alone"]:
        return RETRY_SINGLY
    ignored = _unused(call.params)
    if row["mail"]:
        mail = QueuedMail(row["mail"], "order_stage.notified_at")
        return Reply(orjson.loads(row["data"]), mail=mail, ignored=ignored)
    # JSON as PostgreSQL wrote it: parsing and writing it again would cost a quarter of the rate.
    # Arrays are parsed all the same, since PostgreSQL writes spaces into them.
    data = orjson.loads(row["data"]) if row["has_addons"] else orjson.Fragment(row["data"])
    return Reply(data, ignored=ignored)


def _parse(call: Call) -> tuple[dict[str, Any], list[Any]]:
    """The columns that Python parses, times and the mail template; and the errors."""
    columns: dict[str, Any] = {}
    errors = []
    for name, column in _TIMES.items():
        if name in call.params:
            try:
                columns[column] = parse(call.params[name])
            except MountainTimeError as error:
                errors.append(Rejection.error(name, str(error)))
    slug, events = call.params.get("event_slug"), call.settings.get("events", _NO_EVENTS)
    if slug in events:
        columns["mail_template"] = events[slug].get("mail_template")
    elif slug is not None and events:
        errors.append(Rejection.error("event_slug", "unknown event"))
    return columns, errors


def _columns(call: Call) -> dict[str, Any]:
    """The statement's input: params by the columns of both tables."""
    params = dict(call.params)
    for name, columns in _COLUMNS.items():
        inner = params.pop(name, {})
        params.update({columns.get(key, key): value for key, value in inner.items()})
    params.update(_client_columns(params.pop("client", {})))
    return {**params, "caller_id": call.caller.user_id}


def _client_columns(client: dict[str, Any]) -> dict[str, Any]:
    """Postal codes arrive as integers; their leading zeros are restored."""
    code = client.get("client_billing_postal_code")
    return client if code is None else {**client, "client_billing_postal_code": f"{code:05d}"}
