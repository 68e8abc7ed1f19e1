"""The responses of an operation: OpenAPI has one for each HTTP code, the gateway several statuses.

All are components: most routes share them, and an operation without references has 6 KB of them.
"""

from collections.abc import Sequence
from typing import Any

from gateway import statuses
from gateway.pages.documentation.examples import example_answer
from gateway.pages.openapi.components import Components, Ref
from gateway.pages.openapi.envelopes import (
    example_refusal,
    is_of_the_edge,
    refusal_schema,
    success_schema,
)
from gateway.pages.openapi.schemas import clean
from gateway.registry import envelopes
from gateway.registry.records import Route
from gateway.statuses import SUCCESS, Status

_RETRIED = (429, 503)
_EVERY = ("X-Request-Id", "X-Registry-Revision")

_HEADERS = {
    "X-Request-Id": ("string", "Id of the request, by which the gateway's log names it."),
    "X-Registry-Revision": ("integer", "The revision of the registry that answered."),
    "X-Ignored-Params": ("string", "Names of params that the call did not use."),
    "Retry-After": ("integer", "Seconds after which the call may be repeated."),
}


def responses(route: Route, components: Components) -> dict[str, Any]:
    """The responses of a route by HTTP code."""
    by_code: dict[int, list[Status]] = {}
    for status in route.statuses.values():
        by_code.setdefault(status.http, []).append(status)
    by_code.pop(SUCCESS.http)
    refusals = {
        str(code): _refusal(route, listed, components) for code, listed in sorted(by_code.items())
    }
    return {str(SUCCESS.http): _success(route, components), **refusals}


def _success(route: Route, components: Components) -> dict[str, Any]:
    if not (route.returns or route.documentation.examples):
        name = f"{route.envelope}-{SUCCESS.http}"
        return components.once("responses", name, lambda: _any_success(route, components))
    returns = clean(route.returns.document) if route.returns else None
    data = components.add_schema(f"{route.name}.returns", returns) if returns else None
    content = {"schema": success_schema(route, data, components)}
    if _has_example(route):
        content["example"] = example_answer(route)
    response = _success_with(content, components)
    return components.add("responses", f"{route.name}-{SUCCESS.http}", response)


def _has_example(route: Route) -> bool:
    """Whether the manifest or the schema has an example; otherwise tools make one up themselves."""
    in_schema = bool(route.returns and '"examples"' in route.returns.text)
    return in_schema or '"returns"' in route.documentation.examples


def _any_success(route: Route, components: Components) -> dict[str, Any]:
    return _success_with({"schema": success_schema(route, None, components)}, components)


def _success_with(content: dict[str, Any], components: Components) -> dict[str, Any]:
    description = f"`{SUCCESS.slug}`: {SUCCESS.meaning}"
    return _response(description, content, (*_EVERY, "X-Ignored-Params"), components)


def _refusal(route: Route, listed: Sequence[Status], components: Components) -> dict[str, Any]:
    """The response of one code: one that routes share, unless the route has statuses of its own."""
    own = [status for status in listed if status.slug not in statuses.COMMON]
    common = [status for status in listed if status.slug in statuses.COMMON]
    if own:
        return _own_refusal(route, own, common, components)
    # Each operation refers to about twelve such names, so the usual ones are short.
    name = _shared_name(route, common).removeprefix(f"{envelopes.DEFAULT}-")
    return components.once("responses", name, lambda: _common_refusal(route, common, components))


def _own_refusal(
    route: Route, own: Sequence[Status], common: Sequence[Status], components: Components
) -> dict[str, Any]:
    """A response with statuses of the route; of the common ones it has only the names."""
    schema = refusal_schema(route, own, components)
    lines = _lines(own)
    if common:
        lines.append(f"- also {', '.join(f'`{status.slug}`' for status in common)}")
        schema = {"anyOf": [schema, _shared_schema(route, common, components)]}
    response = _refusal_with(route, own, lines, schema, components)
    return components.add("responses", f"{route.name}-{own[0].http}", response)


def _common_refusal(
    route: Route, common: Sequence[Status], components: Components
) -> dict[str, Any]:
    schema = _shared_schema(route, common, components)
    return _refusal_with(route, common, _lines(common), schema, components)


def _shared_name(route: Route, common: Sequence[Status]) -> str:
    envelope = envelopes.DEFAULT if all(map(is_of_the_edge, common)) else route.envelope
    return f"{envelope}-{common[0].http}"


def _shared_schema(route: Route, common: Sequence[Status], components: Components) -> Ref:
    name = _shared_name(route, common)
    return components.once("schemas", name, lambda: refusal_schema(route, common, components))


def _lines(listed: Sequence[Status]) -> list[str]:
    return [f"- `{status.slug}`: {status.meaning}" for status in listed]


def _refusal_with(
    route: Route,
    listed: Sequence[Status],
    lines: Sequence[str],
    schema: dict[str, Any],
    components: Components,
) -> dict[str, Any]:
    """A response with an example of each status."""
    examples = {status.slug: {"value": example_refusal(route, status)} for status in listed}
    retried = ("Retry-After",) if listed[0].http in _RETRIED else ()
    content = {"schema": schema, "examples": examples}
    return _response("\n".join(lines), content, (*_EVERY, *retried), components)


def _response(
    description: str, content: dict[str, Any], headers: Sequence[str], components: Components
) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {name: _header(name, components) for name in headers},
        "content": {"application/json": content},
    }


def _header(name: str, components: Components) -> dict[str, Any]:
    kind, description = _HEADERS[name]
    header = {"description": description, "schema": {"type": kind}}
    return components.once("headers", name, lambda: header)
