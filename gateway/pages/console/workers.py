"""The workers of every machine: what each serves, and how busy it is."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.monitoring.state import State
from gateway.pages.console.access import Operator
from gateway.pages.console.console import Console


def live(state: State, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001 - of all live parts
    """What the live part shows besides the state: nothing."""
    return {}


async def index(console: Console, _: Request, operator: Operator) -> Response:
    """All workers."""
    return await console.page("workers.html", operator)
