"""Which order a call means: what the services of orders have in common."""

from collections.abc import Mapping
from typing import Any

from asyncpg import Record

from gateway import Call, Rejection, statuses

CHECKS: Mapping[str, tuple[str, str]] = {
    "has_order": ("order_id", "unknown order"),
    "has_order_request": ("order_request_id", "unknown order request"),
    "has_same_order": ("order_request_id", "belongs to another order than order_id"),
}
"""Columns of a statement that finds an order: the param and the message of each that is false."""


def failed_checks(row: Record, checks: Mapping[str, tuple[str, str]] = CHECKS) -> list[Any]:
    """An error for each check that is false in the row."""
    return [Rejection.error(*error) for check, error in checks.items() if not row[check]]


def find_arguments(call: Call) -> tuple[int | None, int | None, int | None]:
    """The arguments of the SQL function `find_order`: a client finds only orders of its own."""
    viewer = call.caller.user_id if call.caller.role == "client" else None
    return call.params.get("order_id"), call.params.get("order_request_id"), viewer


def found(row: Record | None) -> Record:
    """The row of a statement that found an order. Raises Rejection: invalid-param."""
    if row is None:
        raise LookupError("the statement must return one row")
    if errors := failed_checks(row):
        raise Rejection(statuses.INVALID_PARAM, errors=errors)
    return row
