"""The paths of the console, each with its view."""

from collections.abc import Mapping

from gateway.pages.console import notifications, overview, workers
from gateway.pages.console.console import Path
from gateway.pages.console.stream import Live, Streams

LIVE: Mapping[str, Live] = {
    "overview": overview.live,
    "notifications": notifications.live,
    "workers": workers.live,
}
"""The live parts, by the names of their pages."""


def paths(streams: Streams) -> tuple[Path, ...]:
    """All paths below `/-/console`, except those that sign in and out."""
    return (
        Path("", shows=overview.index),
        Path("/events", shows=streams.open),
        Path("/notifications", shows=notifications.index),
        Path("/notifications/{id:int}/resolve", acts=notifications.resolve),
        Path("/notifications/{id:int}/retry", acts=notifications.retry),
        Path("/workers", shows=workers.index),
    )
