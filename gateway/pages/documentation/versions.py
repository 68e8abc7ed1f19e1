"""An older version of a route's page, and what has changed since."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from gateway.manifest.history import RouteVersion
from gateway.manifest.plan_words import field_lines
from gateway.manifest.records.breaking import breakages
from gateway.registry.records import Route, route_from
from gateway.registry.schema import interned


class Version(NamedTuple):
    """A revision that changed the route: what breaks callers, and every field that differs."""

    revision: int
    day: date
    breaking: tuple[str, ...]
    lines: tuple[str, ...]


class VersionPage:
    """A route as revision `revision` had it; `versions` are its changes, newest first."""

    def __init__(self, route: Route, versions: Sequence[RouteVersion], revision: int) -> None:
        self.route = route
        self.revision = revision
        self.versions = tuple(map(version, versions))
        self.shown = _route_at(route.name, versions, revision)

    @property
    def since(self) -> tuple[Version, ...]:
        """The changes after the revision that is shown."""
        return tuple(version for version in self.versions if version.revision > self.revision)


def _route_at(name: str, versions: Sequence[RouteVersion], revision: int) -> Route | None:
    """The route as a revision had it; None if it did not exist, or is no longer known."""
    for row in versions:
        record = row.change.after
        if row.revision <= revision:
            return route_from(name, record, interned(record["params"])) if record else None
    return None


def version(row: RouteVersion) -> Version:
    """One revision of a route, in words."""
    change = row.change
    lines = tuple(field_lines(change)) if change.before and change.after else (_VERBS[change.verb],)
    return Version(
        revision=row.revision,
        day=row.applied_at.date(),
        breaking=tuple(breakages(change)),
        lines=lines,
    )


_VERBS = {"add": "the route is added", "delete": "the route is deleted"}
