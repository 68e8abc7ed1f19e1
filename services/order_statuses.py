"""Order statuses: where each order stands, as `order_stages.create` wrote it."""

import orjson

from gateway import Call, Reply, load_queries

from . import orders

_SQL = load_queries(__file__)


async def read(call: Call) -> Reply:
    """Show the status of an order; null if no stage has set it so far."""
    row = await call.db.fetchrow(_SQL["read"], *orders.find_arguments(call))
    status = orders.found(row)["status"]
    # Parsed, since PostgreSQL writes spaces into arrays.
    return Reply({"order_status": orjson.loads(status) if status else None})
