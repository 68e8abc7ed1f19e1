"""The records of the registry, as workers hold them: services and routes."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from gateway import statuses
from gateway.registry import paths
from gateway.registry.documentation import (
    NO_DOCUMENTATION,
    Documentation,
    documentation_fields,
    documentation_from,
)
from gateway.registry.http_record import Upstream, upstream_fields, upstream_from
from gateway.registry.schema import ParamSchema, interned
from gateway.statuses import Status
from gateway.values import Rate

N = TypeVar("N", int, float)

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
DEFAULT_TIMEOUT = 10.0
DEFAULT_MAX_BODY = 1024 * 1024
DEFAULT_MAX_VALUES = 20_000


@dataclass(frozen=True, slots=True)
class ApplicationRecord:
    """An application that callers may name, and the `roles` of the users it lets in."""

    slug: str
    title: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Service:
    """A service: the unit of deployment. A route's handler names one of its actions.

    `settings` are its own, from the manifest; its actions read them as `call.settings`. `upstream`
    says where a service of the kind `http` is; None for any other kind.
    """

    name: str
    kind: str
    deployed: bool
    title: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    upstream: Upstream | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A route, prepared when the table is built so that requests only read it.

    `handler` is the action that does the work, as `service.action`, and `service` the name of its
    service. `path_params` names the params of the path in their order. `timeout` is in seconds,
    `max_body` in bytes; `max_values` limits the values of a JSON body. `auth` is empty on a public
    route. `rate_limit` applies to each token, on a public route to each address. `roles` maps an
    application's slug to the roles it accepts; None accepts any role. `statuses` holds every status
    that the route may answer, common and own. `returns` is the schema of the answer's `data`.
    `stale` is how old the data of a replica that answers may be, in seconds; None means that only
    the primary answers.
    """

    name: str
    handler: str
    service: str
    method: str
    path: str
    path_params: tuple[str, ...]
    deployed: bool
    title: str
    auth: frozenset[str]
    roles: Mapping[str, tuple[str, ...]] | None
    client_required: bool
    sensitive_params: bool
    envelope: str
    idempotency: str
    rate_limit: Rate | None
    timeout: float
    max_body: int
    max_values: int
    statuses: Mapping[str, Status]
    params: ParamSchema
    returns: ParamSchema | None = None
    stale: float | None = None
    documentation: Documentation = NO_DOCUMENTATION

    @property
    def segments(self) -> tuple[paths.Segment, ...]:
        """The segments of the path; parsed on each access, to keep a table of many routes small."""
        return paths.parse(self.path)


def application_from(slug: str, record: Mapping[str, Any]) -> ApplicationRecord:
    """An application from its stored record."""
    return ApplicationRecord(slug=slug, title=record["title"], roles=frozenset(record["roles"]))


def service_from(name: str, record: Mapping[str, Any]) -> Service:
    """A service from its stored record."""
    return Service(
        name=name,
        kind=record["kind"],
        deployed=record["deployed"],
        title=record["title"],
        settings=record["settings"],
        upstream=upstream_from(record),
    )


def service_record(service: Service) -> dict[str, Any]:
    """The stored record of a service: the inverse of `service_from`."""
    return {
        "kind": service.kind,
        "deployed": service.deployed,
        "title": service.title,
        "settings": service.settings,
        **upstream_fields(service.upstream),
    }


def route_from(name: str, record: Mapping[str, Any], params: ParamSchema) -> Route:
    """A route from its stored record, in which every default is written out.

    Equal values become one object, which saves a third of the memory of 100,000 routes.
    """
    own = {slug: (status["http"], status["meaning"]) for slug, status in record["statuses"].items()}
    return Route(
        name=name,
        handler=name if record["handler"] == name else record["handler"],
        service=sys.intern(record["handler"].partition(".")[0]),
        method=sys.intern(record["method"]),
        path=record["path"],
        path_params=_names(tuple(paths.names(record["path"]))),
        deployed=record["deployed"],
        title=record["title"],
        auth=_auth(tuple(record["auth"])),
        roles=_roles(record["roles"]),
        client_required=record["client_required"],
        sensitive_params=record["sensitive_params"],
        envelope=sys.intern(record["envelope"]),
        idempotency=sys.intern(record.get("idempotency", "off")),
        rate_limit=_rate(*limit) if (limit := record.get("rate_limit")) else None,
        timeout=_interned(record["timeout"]),
        max_body=_interned(record["max_body"]),
        max_values=_interned(record.get("max_values", DEFAULT_MAX_VALUES)),
        statuses={**statuses.COMMON, **statuses.route_statuses(own)} if own else statuses.COMMON,
        params=params,
        returns=interned(record["returns"]) if "returns" in record else None,
        stale=_interned(record["reads"]["stale"]) if "reads" in record else None,
        documentation=documentation_from(record),
    )


def record_of(route: Route) -> dict[str, Any]:
    """The stored record of a route: the inverse of `route_from`."""
    own = {slug: s for slug, s in route.statuses.items() if slug not in statuses.COMMON}
    return {
        "handler": route.handler,
        "method": route.method,
        "path": route.path,
        "deployed": route.deployed,
        "title": route.title,
        "auth": sorted(route.auth),
        "roles": None
        if route.roles is None
        else {slug: list(roles) for slug, roles in route.roles.items()},
        "client_required": route.client_required,
        "sensitive_params": route.sensitive_params,
        "envelope": route.envelope,
        "statuses": {slug: {"http": s.http, "meaning": s.meaning} for slug, s in own.items()},
        "idempotency": route.idempotency,
        "rate_limit": route.rate_limit and list(route.rate_limit),
        "timeout": route.timeout,
        "max_body": route.max_body,
        "max_values": route.max_values,
        **documentation_fields(route.documentation),
        **({"returns": route.returns.text} if route.returns else {}),
        **({} if route.stale is None else {"reads": {"from": "replica", "stale": route.stale}}),
    }


@lru_cache(maxsize=4096)
def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(sys.intern, names))


@lru_cache
def _rate(calls: int, seconds: int) -> Rate:
    return Rate(calls=calls, seconds=seconds)


@lru_cache
def _auth(kinds: tuple[str, ...]) -> frozenset[str]:
    return frozenset(kinds)


@lru_cache(typed=True)
def _interned(value: N) -> N:
    return value


def _roles(roles: Mapping[str, list[str]] | None) -> Mapping[str, tuple[str, ...]] | None:
    return None if roles is None else {slug: tuple(names) for slug, names in roles.items()}
