"""The table that workers would serve if a manifest were the whole registry."""

from collections.abc import Iterable

from gateway.manifest.check import Desired
from gateway.registry.records import application_from, route_from, service_from
from gateway.registry.schema import interned
from gateway.registry.table import Table


def table_of(desired: Iterable[Desired]) -> Table:
    """The table of the namespaces of a checked manifest; its revision is 0."""
    states = list(desired)
    return Table(
        0,
        [service_from(*item) for state in states for item in state.services.items()],
        [
            route_from(name, route.record, interned(route.params))
            for state in states
            for name, route in state.routes.items()
        ],
        [application_from(*item) for state in states for item in state.applications.items()],
    )
