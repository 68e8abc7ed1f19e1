"""The paths of the console, each with its view."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from gateway.pages.console import (
    notifications,
    outbox,
    overview,
    revisions,
    routes,
    services,
    workers,
)
from gateway.pages.console.access import Operator
from gateway.pages.console.console import Console, Path
from gateway.pages.console.stream import Live, Streams

LIVE: Mapping[str, Live] = {
    "overview": overview.live,
    "notifications": notifications.live,
    "workers": workers.live,
}
"""The live parts, by the names of their pages."""


def paths(streams: Streams) -> tuple[Path, ...]:
    """All paths below `/-/console`, except those that sign in and out."""
    routes_tab = routes.Routes()
    return (
        Path("", shows=overview.index),
        Path("/events", shows=streams.open),
        Path("/notifications", shows=notifications.index),
        Path("/notifications/{id:id}/resolve", acts=notifications.resolve),
        Path("/notifications/{id:id}/retry", acts=notifications.retry),
        Path("/routes", shows=routes_tab.index),
        Path("/routes/{name}", shows=routes_tab.show),
        Path("/services", shows=services.index),
        Path("/revisions", shows=revisions.index),
        Path("/revisions/{id:id}", shows=revisions.show),
        Path("/outbox", shows=outbox.index),
        Path("/outbox/retry", acts=outbox.retry_group),
        Path("/outbox/discard", shows=outbox.ask_discard_group),
        Path("/outbox/discard", acts=outbox.discard_group),
        Path("/outbox/{id:id}", shows=outbox.show),
        Path("/outbox/{id:id}/retry", acts=outbox.retry),
        Path("/outbox/{id:id}/discard", shows=outbox.ask_discard),
        Path("/outbox/{id:id}/discard", acts=outbox.discard),
        Path("/workers", shows=workers.index),
        Path("/{path:path}", shows=_missing),
    )


async def _missing(console: Console, _: Request, operator: Operator) -> Response:
    return await console.missing(operator, "The console has no such page.")
