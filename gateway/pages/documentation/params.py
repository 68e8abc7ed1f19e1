"""The params of a route as its page lists them, from the route's JSON Schema."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from gateway.pages.documentation.examples import APPLICATIONS
from gateway.registry.records import Route
from gateway.registry.schema.shape import resolve_ref, types_of
from gateway.registry.table import Table

_OWN_ORDER, _COMMON_ORDER = 99, 1000
"""Where params without an `x-order` stand: after the route's own, and after the common ones."""

_LIMITS = (
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "below {}"),
    ("multipleOf", "a multiple of {}"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("format", "a valid {}"),
)


class Param(NamedTuple):
    """A param, or a nested key of one; `name` is dotted, and the page's anchor.

    `order` is None for a nested key. `values` are the possible values, `limits` other rules as
    phrases.
    """

    name: str
    type: str
    order: int | None
    required: bool
    description: str
    values: tuple[str, ...]
    limits: tuple[str, ...]
    sensitive: bool
    common: bool
    nested: tuple["Param", ...]


def documented_params(route: Route, table: Table) -> tuple[Param, ...]:
    """The params of a route in their documented order, with nested keys."""
    document = route.params.document
    params = _keys(document, "", document, application_slugs(route, table))
    return tuple(sorted(params, key=_order))


def application_slugs(route: Route, table: Table) -> tuple[str, ...]:
    """The applications that a caller may name: all, or those that the route's roles have."""
    slugs = table.applications if route.roles is None else route.roles
    return tuple(sorted(slugs))


def _order(param: Param) -> int:
    return param.order or (_COMMON_ORDER if param.common else _OWN_ORDER)


def _keys(
    schema: dict[str, Any], prefix: str, document: dict[str, Any], slugs: tuple[str, ...]
) -> Iterator[Param]:
    required = schema.get("required", ())
    for name, child in schema.get("properties", {}).items():
        resolved = _resolved(child, document)
        place = f"{prefix}.{name}" if prefix else name
        # A schema that refers to itself has keys without end; two levels are documented.
        has_keys = place.count(".") < _MAX_LEVELS
        inner = _inner_object(resolved, document) if has_keys else {}
        yield Param(
            name=place,
            type=type_name(resolved),
            order=resolved.get("x-order") if not prefix else None,
            required=name in required,
            description=resolved.get("description", ""),
            values=_values(resolved, slugs),
            limits=tuple(limits(resolved)),
            sensitive=resolved.get("x-sensitive") is True,
            common=resolved.get("x-common") is True,
            nested=tuple(_keys(inner, place, document, slugs)),
        )


_MAX_LEVELS = 4


def _resolved(schema: Any, document: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - JSON is any
    """A schema with the target of its `$ref` merged in."""
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        target = resolve_ref(schema["$ref"], document)
        return {**(target if isinstance(target, dict) else {}), **schema}
    return schema


def _inner_object(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The schema whose properties are the nested keys: of an object, or of a list's items."""
    if "properties" in schema:
        return schema
    items = _resolved(schema.get("items"), document)
    return items if "properties" in items else {}


def type_name(schema: dict[str, Any]) -> str:
    """The type as people write it: `integer`, `hash`, `array of string`, `string or null`."""
    if "x-type" in schema:
        return str(schema["x-type"])
    types = types_of(schema)
    if types == ["array"] and isinstance(items := schema.get("items"), dict) and types_of(items):
        return f"array of {' or '.join(types_of(items))}"
    return " or ".join(types) or "any"


def _values(schema: dict[str, Any], slugs: tuple[str, ...]) -> tuple[str, ...]:
    if schema.get("x-values") == APPLICATIONS:
        return slugs
    listed = [schema["const"]] if "const" in schema else schema.get("enum", ())
    return tuple(map(as_text, listed))


def as_text(value: Any) -> str:  # noqa: ANN401 - JSON is any
    """A value of JSON as text; a string without its quotes."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def limits(schema: dict[str, Any]) -> Iterator[str]:
    """The rules that a value must keep, as phrases: `at most 255 characters`."""
    for key, phrase in _LIMITS:
        # Text of at least one character is "required" in other words.
        if key in schema and (key, schema[key]) != ("minLength", 1):
            yield phrase.format(schema[key])
    for rule in (schema, *schema.get("allOf", ())):
        if isinstance(rule, dict) and "x-message" in rule:
            yield str(rule["x-message"]).removeprefix("must be ")
        elif isinstance(rule, dict) and "pattern" in rule:
            yield f"matches `{rule['pattern']}`"
