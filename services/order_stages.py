"""Order stages: what happened to an order, and where the order stands now."""

from collections.abc import Sequence
from datetime import datetime
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
from services.mountain_time import MountainTimeError, parse

_SQL = load_queries(__file__)

_TIMES = {
    "stage_at_mt": "stage_start_at",
    "created_at_mt": "created_at_fm",
    "notified_at_mt": "notified_at",
}
"""Params that are times, and the columns they set."""

_COLUMNS = {
    "order": {
        "notes": "order_notes",
        "cancel_reason": "order_cancel_reason",
        "cancel_note": "order_cancel_note",
    },
    "appointment": {"cancel_reason": "appt_cancel_reason", "cancel_note": "appt_cancel_note"},
}
"""Keys of the nested params whose columns have another name."""

_UNKNOWN = {
    "order_id": "unknown order",
    "order_request_id": "unknown order request",
    "same_order": "belongs to another order than order_id",
    "created_by_id": "unknown user",
    "updated_by_id": "unknown user",
    "client_id": "unknown client",
}
"""Checks that the statement makes, and what to say where one fails."""

_ATTRS = {"same_order": "order_request_id", "client_id": "client.client_id"}


def _order(call: Call) -> object:
    """Calls for one order go one after the other: its status has one row."""
    order = call.params.get("order_id")
    return ("request", call.params["order_request_id"]) if order is None else order


@batched(partition_key=_order)
async def create(calls: Sequence[Call], db: Database, *, singly: bool) -> list[Outcome]:
    """Insert a row into order_stages and, with `update_status`, set the order's order_statuses row.

    All in one statement, with the mails of the events that have one, so that what belongs together
    commits together or not at all. A call alone waits for an order that somebody else is at.
    """
    read = [_times(call.params) for call in calls]
    given = [
        {**_given(call, times), "i": i, "valid": not errors, "ticket": call.mail.ticket}
        for i, (call, (times, errors)) in enumerate(zip(calls, read, strict=True))
    ]
    rows = await db.fetch(_SQL["create"], given, singly)
    return [_outcome(row, errors) for row, (_, errors) in zip(rows, read, strict=True)]


def _outcome(row: Record, errors: list[Any]) -> Outcome:
    """What became of one call: its rows, or what is wrong with it."""
    errors = errors + [
        Rejection.error(_ATTRS.get(check, check), words)
        for check, words in _UNKNOWN.items()
        if not row[check]
    ]
    if errors:
        return Rejection(statuses.INVALID_PARAM, errors=errors)
    if row["goes_alone"]:
        return RETRY_SINGLY
    # JSON as the database wrote it: to take it apart and write it anew costs a quarter of the rate.
    if row["mail"]:
        return Reply(
            orjson.loads(row["data"]), mail=QueuedMail(row["mail"], "order_stage.notified_at")
        )
    return Reply(orjson.Fragment(row["data"]))


def _times(params: dict[str, Any]) -> tuple[dict[str, datetime], list[Any]]:
    """The times that were given, by column, and an error for each that cannot be read."""
    times, errors = {}, []
    for name, column in _TIMES.items():
        if name in params:
            try:
                times[column] = parse(params[name])
            except MountainTimeError as error:
                errors.append(Rejection.error(name, str(error)))
    return times, errors


def _given(call: Call, times: dict[str, datetime]) -> dict[str, Any]:
    """The statement's input: columns of both tables, as they were given."""
    params = dict(call.params)
    for name, columns in _COLUMNS.items():
        inner = params.pop(name, {})
        params.update({columns.get(key, key): value for key, value in inner.items()})
    params.update(_client(params.pop("client", {})))
    return {**params, **times, "caller_id": call.caller.user_id}


def _client(client: dict[str, Any]) -> dict[str, Any]:
    """Postal codes arrive as integers, which have lost their leading zeros."""
    code = client.get("client_billing_postal_code")
    return client if code is None else {**client, "client_billing_postal_code": f"{code:05d}"}
