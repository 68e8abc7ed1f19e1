"""The params of a route as an OpenAPI operation has them: parameters and a request body."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.pages.documentation.examples import QUERY_METHODS, example, example_params
from gateway.pages.openapi.components import Components, Ref
from gateway.pages.openapi.schemas import choice_as_not, clean, without
from gateway.registry import paths
from gateway.registry.records import Route
from gateway.registry.schema import INT_MAX, subschemas
from gateway.registry.schema.shape import types_of

TOKEN = "token"  # noqa: S105 - a name
"""The common param that need not be sent as one: the security scheme carries it."""

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
BASE64_TYPES: dict[str, dict[str, str]] = {
    "text/plain": {},
    "application/octet-stream": {"format": "binary"},
}
"""The content types of a base64 body, with what their schemas add.

Many generated clients send no body as `text/plain`, and as the other one only if it is `binary`.
"""

_KINDS: dict[str | None, dict[str, Any]] = {
    "int": {"type": "integer", "minimum": -INT_MAX, "maximum": INT_MAX},
    "uuid": {"type": "string", "format": "uuid"},
    None: {"type": "string"},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A name for this piece of work: calls with the same key run once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


class OperationParams:
    """The params of one route; what other routes have too goes to the components."""

    def __init__(self, route: Route, slugs: tuple[str, ...], components: Components) -> None:
        self._route = route
        self._slugs = slugs
        self._components = components
        self._in_query = route.method in QUERY_METHODS and not route.sensitive_params
        document = clean(route.params.document, slugs)
        optional = {TOKEN} & route.params.common
        own = without(document, route.path_params, optional)
        self._is_body_required = _requires_some(own)
        self._styles = {name: _style(schema) for name, schema in own["properties"].items()}
        self._document = choice_as_not(own)
        self._path_schemas = document.get("properties", {})
        self._share_common_params()

    def _share_common_params(self) -> None:
        """Most routes have the same common params: one schema has them all."""
        properties = self._document["properties"]
        names = [name for name in properties if self._is_shared(name)]
        shared = {
            name: self._components.add_schema(f"common.{name}", properties[name]) for name in names
        }
        if not shared or _refers(self._document) or _is_closed(self._document):
            self._document["properties"] = {**properties, **shared}
            return
        group = self._components.add_schema("common", {"type": "object", "properties": shared})
        own = {name: schema for name, schema in properties.items() if name not in shared}
        # Both are in the `allOf`: some generators take an `allOf` of one schema for the schema.
        self._document = {"allOf": [group, {**self._document, "properties": own}]}

    def _is_shared(self, name: str) -> bool:
        is_common = name in self._route.params.common and not self._in_query
        return is_common and not _refers(self._document["properties"][name])

    def parameters(self, names: Mapping[str, str]) -> Iterator[Ref]:
        """References to the parameters; `names` has the document's names of path params."""
        for parameter in self._parameters(names):
            is_common = parameter["name"] in self._route.params.common
            prefix = "common" if is_common else self._route.name
            yield self._components.add("parameters", f"{prefix}.{parameter['name']}", parameter)

    def _parameters(self, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        for segment in paths.parse(self._route.path):
            if segment.name:
                own = self._alone(self._path_schemas.get(segment.name, {}))
                described = _described({**own, **_KINDS[segment.kind]})
                yield {"name": names[segment.name], "in": "path", "required": True, **described}
        if self._in_query:
            yield from self._query_parameters()
        if self._route.idempotency != "off":
            yield self._idempotency_key()

    def _alone(self, schema: Any) -> Any:  # noqa: ANN401 - JSON is any
        """The schema of one param, which can refer to the others only in the components."""
        return self._components.part_of(self._whole(), schema) if _refers(schema) else schema

    def _whole(self) -> Ref:
        return self._components.add_schema(f"{self._route.name}.params", self._document)

    def _query_parameters(self) -> Iterator[dict[str, Any]]:
        examples = example_params(self._route, self._slugs)
        required = self._document.get("required", ())
        for name, own in self._document["properties"].items():
            schema = self._alone(own)
            parameter = {"name": name, "in": "query", **_described(schema), **_style(schema)}
            if name in required:
                parameter["required"] = True
            if name in examples:
                parameter["example"] = examples[name]
            yield parameter

    def _idempotency_key(self) -> dict[str, Any]:
        return {**_KEY, "required": self._route.idempotency == "required"}

    def body(self) -> dict[str, Any] | None:
        """The request body; None for a route whose params are in the query."""
        if self._in_query or not self._styles:
            return None
        if self._route.sensitive_params:
            return self._base64_body()
        encoding = {name: style for name, style in self._styles.items() if style}
        whole = self._whole()
        form = {"schema": whole, **({"encoding": encoding} if encoding else {})}
        return {
            "required": self._is_body_required,
            "content": {
                JSON: {"schema": whole, "example": example(self._route, self._slugs).body},
                FORM: form,
            },
        }

    def _base64_body(self) -> dict[str, Any]:
        text = orjson.dumps(example(self._route, self._slugs).body)
        encoded = {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": JSON,
            "contentSchema": self._whole(),
        }
        shown = base64.b64encode(text).decode()
        return {
            "description": f"The params as JSON in base64. The example is `{text.decode()}`.",
            "required": True,
            "content": {
                name: {"schema": {**encoded, **added}, "example": shown}
                for name, added in BASE64_TYPES.items()
            },
        }


def _refers(schema: Any) -> bool:  # noqa: ANN401 - JSON is any
    return any("$ref" in inner for inner in subschemas(schema))


def _is_closed(document: dict[str, Any]) -> bool:
    """Whether the schema restricts properties that other schemas of an `allOf` define."""
    return not {"additionalProperties", "unevaluatedProperties"}.isdisjoint(document)


def _requires_some(document: dict[str, Any]) -> bool:
    """Whether a call without any of these params lacks one."""
    choices = (branch for key in ("anyOf", "oneOf") for branch in document.get(key, ()))
    branches = [isinstance(branch, dict) and bool(branch.get("required")) for branch in choices]
    return bool(document.get("required")) or (bool(branches) and all(branches))


def _described(schema: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON is any
    """A parameter's schema, with its description where tools show it."""
    if not isinstance(schema, dict) or "description" not in schema:
        return {"schema": schema}
    rest = {key: value for key, value in schema.items() if key != "description"}
    return {"description": schema["description"], "schema": rest}


def _style(schema: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON is any
    """How a list or an object is written in a query or a form: `a,b`, `name[key]=value`."""
    types = types_of(schema) if isinstance(schema, dict) else ()
    if "array" in types:
        return {"style": "form", "explode": False}
    return {"style": "deepObject", "explode": True} if "object" in types else {}
