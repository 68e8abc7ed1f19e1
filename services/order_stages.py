"""Order stages: what happened to an order, and where the order stands now."""

from datetime import datetime
from typing import Any

from gateway import Call, Mailed, Reject, Reply, load_queries
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


async def create(call: Call) -> Reply:
    """Insert a row into order_stages and, with `update_status`, set the order's order_statuses row.

    Both in one statement with the mail of the event, if it has one, so that they commit together
    or not at all.
    """
    times, errors = _times(call.params)
    given = {**_given(call, times), "valid": not errors, "ticket": call.mail.ticket}
    row = await call.db.fetchrow(_SQL["create"], given)
    if row is None:
        raise AssertionError
    errors += [
        Reject.error(_ATTRS.get(check, check), words)
        for check, words in _UNKNOWN.items()
        if not row[check]
    ]
    if errors:
        raise Reject("invalid-param", errors=errors)
    status = row["order_status"]
    data = {"order_stage": dict(row["order_stage"]), "order_status": status and dict(status)}
    mail = row["mail"] and Mailed(row["mail"], ("order_stage", "notified_at"))
    return Reply(data, mail=mail)


def _times(params: dict[str, Any]) -> tuple[dict[str, datetime], list[Any]]:
    """The times that were given, by column, and an error for each that cannot be read."""
    times, errors = {}, []
    for name, column in _TIMES.items():
        if name in params:
            try:
                times[column] = parse(params[name])
            except MountainTimeError as error:
                errors.append(Reject.error(name, str(error)))
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
