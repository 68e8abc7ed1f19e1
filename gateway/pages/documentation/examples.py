"""An example call of a route, and its answer: as the manifest has them, otherwise made up."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson

from gateway.registry.records import Route
from gateway.registry.schema import subschemas
from gateway.registry.schema.samples import sample

APPLICATIONS = "applications"
"""The value of `x-values` for a param whose possible values are the applications."""

QUERY_METHODS = ("GET", "DELETE")
"""The methods whose params are sent in the query string; others have a body."""

IDEMPOTENCY_KEY = "order-7-scheduled"


class Example(NamedTuple):
    """A call of a route; `target` is the path with its query string, `body` the params sent in it.

    `params` holds all params, as they are before some move into the path and the query string.
    """

    method: str
    target: str
    params: dict[str, Any]
    body: dict[str, Any]
    content_type: str
    needs_token: bool
    needs_key: bool


def example_params(route: Route, slugs: Sequence[str]) -> dict[str, Any]:
    """The params of an example call, without the common ones.

    `slugs` are the applications that a caller may name; the example names the first one.
    """
    examples = orjson.loads(route.documentation.examples or "{}")
    if "params" in examples:
        params: dict[str, Any] = examples["params"]
        return params
    document = route.params.document
    for schema in subschemas(document):
        if schema.get("x-values") == APPLICATIONS and slugs:
            schema.setdefault("examples", list(slugs[:1]))
    sampled: dict[str, Any] = sample(document, route.params.common)
    return sampled


def example_answer(route: Route) -> Any:  # noqa: ANN401 - JSON is any
    """The body of a successful answer; without `returns` and examples it has no `data`."""
    examples = orjson.loads(route.documentation.examples or "{}")
    if "returns" in examples:
        data = examples["returns"]
    else:
        data = sample(route.returns.document) if route.returns else None
    if route.envelope == "shoplo":
        return data
    answer = {"code": 200, "status": "action-successful"}
    return answer if data is None else {**answer, "data": data}


def example(route: Route, slugs: Sequence[str]) -> Example:
    """An example call of a route; `slugs` are the applications that a caller may name."""
    params = example_params(route, slugs)
    body = dict(params)
    path = "/".join(_segment(part, body, route) for part in route.path.split("/"))
    in_query = route.method in QUERY_METHODS and not route.sensitive_params
    query = f"?{urlencode(body)}" if body and in_query else ""
    return Example(
        method=route.method,
        target=path + query,
        params=params,
        body={} if in_query else body,
        content_type=content_type(route) if body and not in_query else "",
        needs_token=bool(route.auth),
        needs_key=route.idempotency == "required",
    )


def content_type(route: Route) -> str:
    """The content type that a body of a route usually has."""
    return "text/plain" if route.sensitive_params else "application/json"


def _segment(part: str, body: dict[str, Any], route: Route) -> str:
    """A segment of a path, with the value of its param, which then is not in the body."""
    if not part.startswith("{"):
        return part
    name, _, kind = part.strip("{}").partition(":")
    schema = route.params.document["properties"].get(name, {})
    value = body.pop(name, None)
    if value is None:
        value = sample({**schema, "format": kind} if kind == "uuid" else schema)
    return quote(str(value), safe="")
