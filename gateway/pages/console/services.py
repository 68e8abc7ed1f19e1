"""The services, with the endpoints of those elsewhere as the workers see them."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.monitoring.services import endpoint_rows
from gateway.pages.console.access import Operator
from gateway.pages.console.console import Console


async def index(console: Console, _: Request, operator: Operator) -> Response:
    """All services."""
    table, state = console.registry.current, await console.watcher.look()
    figures = [worker.figures for worker in state.alive]
    return await console.page(
        "services.html",
        operator,
        state=state,
        rows=endpoint_rows(table.services.values() if table else (), figures),
        services=table.services if table else {},
    )
