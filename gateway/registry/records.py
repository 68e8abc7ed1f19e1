"""The records of the registry, as workers hold them: services and routes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway import paths, statuses
from gateway.schema import ParamSchema
from gateway.statuses import Status

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
DEFAULT_TIMEOUT = 10.0
DEFAULT_MAX_BODY = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Service:
    """A service: the unit that is deployed, of which a route's handler names one action."""

    name: str
    kind: str
    deployed: bool
    title: str


@dataclass(frozen=True, slots=True)
class Route:
    """A route, made ready when the table is built so that a request only reads.

    `timeout` is in seconds, `max_body` in bytes. `auth` is empty on a public route.
    `roles` maps an application's slug to the roles it takes, None where any will do.
    `statuses` are all that the route may answer, common and own.
    """

    name: str
    service: str
    action: str
    method: str
    path: str
    segments: tuple[paths.Segment, ...]
    deployed: bool
    title: str
    auth: frozenset[str]
    roles: Mapping[str, tuple[str, ...]] | None
    client_required: bool
    sensitive_params: bool
    envelope: str
    timeout: float
    max_body: int
    statuses: Mapping[str, Status]
    params: ParamSchema

    @property
    def handler(self) -> str:
        """The action that does the work, as `service.action`."""
        return f"{self.service}.{self.action}"


def service_from(name: str, record: Mapping[str, Any]) -> Service:
    """A service from its stored record."""
    return Service(name, record["kind"], record["deployed"], record["title"])


def route_from(name: str, record: Mapping[str, Any], params: ParamSchema) -> Route:
    """A route from its stored record, in which every default is written out."""
    service, action = record["handler"].split(".")
    own = {slug: (status["http"], status["meaning"]) for slug, status in record["statuses"].items()}
    return Route(
        name=name,
        service=service,
        action=action,
        method=record["method"],
        path=record["path"],
        segments=paths.parse(record["path"]),
        deployed=record["deployed"],
        title=record["title"],
        auth=frozenset(record["auth"]),
        roles=_roles(record["roles"]),
        client_required=record["client_required"],
        sensitive_params=record["sensitive_params"],
        envelope=record["envelope"],
        timeout=record["timeout"],
        max_body=record["max_body"],
        statuses={**statuses.COMMON, **statuses.own(own)} if own else statuses.COMMON,
        params=params,
    )


def _roles(roles: Mapping[str, list[str]] | None) -> Mapping[str, tuple[str, ...]] | None:
    return None if roles is None else {slug: tuple(names) for slug, names in roles.items()}
