"""A Litestar handler that validates a body with msgspec and echoes it: no token."""

from typing import Any

import msgspec
from litestar import Litestar, post


class Stage(msgspec.Struct, omit_defaults=True):
    """The fields of an order stage that the benchmark's body has."""

    update_status: bool
    stage: str
    order_id: int | None = None
    order_request_id: int | None = None
    notes: str | None = None
    appointment: dict[str, Any] | None = None
    order: dict[str, Any] | None = None


@post("/api/v1/bench/echo", status_code=200)
async def echo(data: Stage) -> Stage:
    """Answer the body."""
    return data


app = Litestar([echo], openapi_config=None)
