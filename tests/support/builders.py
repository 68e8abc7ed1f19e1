"""Builders of the values that several unit tests need, with arbitrary defaults."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import settings

from gateway import statuses
from gateway.database.pool import Pool
from gateway.identity.authenticator import Authenticator
from gateway.identity.counts import Counts
from gateway.identity.last_use import LastUse
from gateway.identity.limits import Limits
from gateway.identity.token_store import TokenStore
from gateway.registry import paths
from gateway.registry.records import (
    DEFAULT_MAX_BODY,
    DEFAULT_MAX_VALUES,
    DEFAULT_TIMEOUT,
    ApplicationRecord,
    Route,
)
from gateway.registry.schema import ParamSchema
from gateway.registry.table import Match, Table
from gateway.runtime.http_client import HttpClient
from gateway.stages.validate.validator import validate
from gateway.upstreams.http.services import HttpServices
from gateway.values import Application, Params, Rejection, Request, Session, Valid

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)

examples = settings(deadline=None, database=None)
"""Settings of property tests: no deadline, since machines may be slow, and no files on disk."""

COMMON: dict[str, Any] = {
    name: {"type": "string", "x-common": True}
    for name in ("token", "application", "application_view", "session_view")
}
"""The common params, as a manifest adds them to the params of a route."""


def params(**properties: Any) -> dict[str, Any]:
    """A schema for an object with these properties."""
    return {"type": "object", "properties": properties}


def route(
    path: str = "/api/v1/things/create", *, schema: Mapping[str, Any] | None = None, **changes: Any
) -> Route:
    """A deployed route that accepts any token."""
    fields = {
        "name": "things.create",
        "service": "things",
        "action": "create",
        "method": "POST",
        "deployed": True,
        "title": "Things Create API",
        "auth": frozenset({"application", "session"}),
        "roles": None,
        "client_required": True,
        "sensitive_params": False,
        "envelope": "plano",
        "idempotency": "off",
        "rate_limit": None,
        "timeout": DEFAULT_TIMEOUT,
        "max_body": DEFAULT_MAX_BODY,
        "max_values": DEFAULT_MAX_VALUES,
        "statuses": statuses.COMMON,
        **changes,
    }
    param_schema = ParamSchema(json.dumps(params() if schema is None else schema))
    handler = f"{fields['service']}.{fields.pop('action')}"
    names = tuple(paths.names(path))
    return Route(path=path, path_params=names, handler=handler, params=param_schema, **fields)


ALL_ROLES = frozenset({"client", "employee", "liaison"})
APPLICATIONS = [
    ApplicationRecord(slug="planoauth", title="PlanoAuth", roles=ALL_ROLES),
    ApplicationRecord(slug="planoorder", title="PlanOrder", roles=ALL_ROLES),
    ApplicationRecord(slug="planox2", title="PlanoX2", roles=ALL_ROLES - {"client"}),
]


def match(matched_route: Route | None = None, **path_params: Any) -> Match:
    """A match of a route with these path params, in a table with the demo's applications."""
    return Match(matched_route or route(), path_params, Table(1, applications=APPLICATIONS))


def request(query: bytes = b"", /, **headers: str) -> Request:
    """A POST request; `content_type="…"` is the header `content-type`."""
    encoded = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    path = b"/api/v1/things/create"
    now = time.monotonic()
    return Request("request-1", "POST", path, query, encoded, "127.0.0.1", received_at=now)


def session(**changes: Any) -> Session:
    """A session of a client, just used."""
    default = Session(
        id=1,
        user_id=2,
        first_name="Ben",
        last_name="Stone",
        email="client@example.com",
        application="planoorder",
        roles=("client",),
        permissions=(),
        remember_me=False,
        remember_since=None,
        created_at=NOON,
        last_used_at=NOON,
        address=None,
    )
    return default._replace(**changes)


def application(**changes: Any) -> Application:
    """An application whose token may call every route."""
    default = Application(
        id=3, slug="planoorder", name="PlanOrder", created_at=NOON, routes=("*",), token_id=4
    )
    return default._replace(**changes)


def refusal(work: Callable[[], object]) -> Rejection:
    """The rejection that some work raises; the test fails if it raises none."""
    with pytest.raises(Rejection) as caught:
        work()
    return caught.value


def judged(schema: dict[str, Any], values: dict[str, Any], *, nul: bool = False) -> Valid:
    """Validate values that come from JSON."""
    return validate(Params(values, frozenset(), nul), match(route(schema=schema)))


def judged_text(schema: dict[str, Any], values: dict[str, Any]) -> Valid:
    """Validate values that come from a query or a form."""
    return validate(Params(values, frozenset(values), holds_nul=False), match(route(schema=schema)))


def faults(
    schema: dict[str, Any], values: dict[str, Any], **options: bool
) -> tuple[str, list[str]]:
    """Validate values that are refused; return the status, and each error as `attr: message`."""
    refused = refusal(lambda: judged(schema, values, **options))
    return refused.slug, [f"{error['attr']}: {error['message']}" for error in refused.errors]


def http_services() -> HttpServices:
    """The http services of a worker that has none."""
    return HttpServices(HttpClient(), lambda: None, environment={}, max_in_flight=1)


def limits() -> Limits:
    """Limits that no test reaches."""
    return Limits(
        Counts(Pool("", 1)), account_guesses=10_000, address_guesses=10_000, unknown_tokens=10_000
    )


def authenticator(store: TokenStore) -> Authenticator:
    """Identity with this store, at noon."""
    return Authenticator(store, LastUse(Pool("", 1)), limits(), now=lambda: NOON)
