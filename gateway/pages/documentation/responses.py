"""The answers of a route in four groups: its own, common, uncommon, and this gateway's."""

from typing import NamedTuple

from gateway import statuses
from gateway.registry.records import Route
from gateway.statuses import COMMON, Status


class Responses(NamedTuple):
    """The documented answers of a route; `gateway` holds those that the Plano API's pages lack."""

    own: tuple[Status, ...]
    common: tuple[Status, ...]
    uncommon: tuple[Status, ...]
    gateway: tuple[Status, ...]


def responses(route: Route | None = None) -> Responses:
    """The answers of a route, or those that every route has."""
    possible = route.statuses if route else COMMON
    return Responses(
        own=tuple(status for slug, status in possible.items() if slug not in COMMON),
        common=tuple(COMMON[slug] for slug in statuses.DOCUMENTED),
        uncommon=tuple(COMMON[slug] for slug in statuses.UNCOMMON),
        gateway=tuple(status for status in COMMON.values() if not status.seed),
    )
