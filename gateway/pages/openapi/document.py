"""A registry, or one service of it, as an OpenAPI 3.1 document."""

from collections.abc import Iterator
from typing import Any

from gateway.pages.documentation.params import application_slugs
from gateway.pages.openapi.components import Components
from gateway.pages.openapi.params import OperationParams
from gateway.pages.openapi.path_templates import PathTemplates
from gateway.pages.openapi.responses import responses
from gateway.registry.records import Route
from gateway.registry.table import Table

VERSION = "3.1.0"
NOT_APPLIED = "not applied"
"""The version of a document whose routes are not those of a revision."""

_SCHEME = "token"
_DESCRIPTION = (
    "Send the token of an application or of a session as `Authorization: Bearer …`. "
    "Params of a body may also be in the query string, unless the route is sensitive. "
    "Params that a route does not have are ignored, and `X-Ignored-Params` names them."
)
_SECURITY_SCHEMES = {
    _SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of an application or of a session.",
    }
}


def openapi(table: Table, service: str | None = None) -> dict[str, Any]:
    """The document of the routes that are documented: of all services, or of one.

    Equal tables give equal documents. A service without such routes gives one without paths.
    """
    routes = documented_routes(table, service)
    components = Components()
    found = {
        "openapi": VERSION,
        "info": _info(table, service),
        "servers": [{"url": "/"}],
        "security": [{_SCHEME: []}],
        "tags": list(_tags(table, routes)),
        "paths": _paths(routes, table, components),
    }
    return {**found, "components": {**components.as_object(), "securitySchemes": _SECURITY_SCHEMES}}


def documented_routes(table: Table, service: str | None = None) -> list[Route]:
    """The routes of a document, in its order."""
    routes = (
        route
        for route in table.routes.values()
        if route.documentation.documented and service in {None, route.service}
    )
    return sorted(routes, key=lambda route: (route.path, route.method))


def documented_services(table: Table) -> list[str]:
    """The names of the services that have a document of their own."""
    routes = table.routes.values()
    return sorted({route.service for route in routes if route.documentation.documented})


def _info(table: Table, service: str | None) -> dict[str, Any]:
    record = table.services.get(service or "")
    version = str(table.revision) if table.revision else NOT_APPLIED
    title = record.title if record else service or "Plano gateway"
    return {"title": title, "version": version, "description": _DESCRIPTION}


def _tags(table: Table, routes: list[Route]) -> Iterator[dict[str, Any]]:
    for name in sorted({route.service for route in routes}):
        record = table.services.get(name)
        yield {"name": name, "description": record.title if record else name}


def _paths(routes: list[Route], table: Table, components: Components) -> dict[str, Any]:
    templates = PathTemplates()
    found: dict[str, Any] = {}
    for route in routes:
        path, names = templates.place(route)
        params = OperationParams(route, application_slugs(route, table), components)
        operation = _operation(route, table)
        if parameters := list(params.parameters(names)):
            operation["parameters"] = parameters
        if body := params.body():
            operation["requestBody"] = body
        operation["responses"] = responses(route, components)
        found.setdefault(path, {})[route.method.lower()] = operation
    _inline_unshared(found, components)
    return found


def _inline_unshared(paths: dict[str, Any], components: Components) -> None:
    """Move parts that only one operation uses into it: components are what operations share."""
    operations = [operation for item in paths.values() for operation in item.values()]
    parameters = [operation.get("parameters", []) for operation in operations]
    responses_by_code = [operation["responses"] for operation in operations]
    components.inline_unshared(
        "parameters", [(refs, index) for refs in parameters for index in range(len(refs))]
    )
    components.inline_unshared(
        "responses", [(refs, code) for refs in responses_by_code for code in refs]
    )


def _operation(route: Route, table: Table) -> dict[str, Any]:
    """What is said of a route beside its params and responses."""
    documentation = route.documentation
    service = table.services.get(route.service)
    is_deployed = route.deployed and bool(service and service.deployed)
    said: dict[str, Any] = {
        "description": documentation.description or None,
        "security": None if route.auth else [],
        "deprecated": True if documentation.deprecated else None,
        "x-deprecated": documentation.deprecated or None,
        "x-sunset": documentation.sunset or None,
        "x-sensitive-params": True if route.sensitive_params else None,
        "x-deployed": None if is_deployed else False,
    }
    given = {key: value for key, value in said.items() if value is not None}
    return {"operationId": route.name, "tags": [route.service], "summary": route.title, **given}
