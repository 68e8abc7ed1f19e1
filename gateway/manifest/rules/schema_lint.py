"""Mistakes in the schema of params that JSON Schema itself allows."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.manifest.rules import keywords
from gateway.registry.schema.shape import resolve_ref
from gateway.runtime.suggest import did_you_mean

Mistakes = Iterator[tuple[str, str]]
"""Pairs of a place in the schema, such as `/properties/stage`, and a message."""

_IN_PLACE = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else", "not")


def errors(document: dict[str, Any]) -> Iterator[str]:
    """The mistakes for which params are refused."""
    for place, message in _walk(document, "", frozenset(), document, _schema_errors):
        yield f"at {place or '/'}: {message}"


def warnings(document: dict[str, Any]) -> Iterator[str]:
    """The keywords that have no effect."""
    for place, message in _walk(document, "", frozenset(), document, _schema_warnings):
        yield f"at {place or '/'}: {message}"


def _schema_errors(schema: dict[str, Any], names: frozenset[str] | None) -> Iterator[str]:
    for key in () if schema.keys() <= _LEAF else schema:
        if key not in keywords.KEYWORDS and not key.startswith("x-"):
            yield keywords.unknown(key)
    order = schema.get("x-order", 1)
    if not (type(order) is int and order > 0):
        yield "x-order must be a whole number, 1 or more"
    for name in () if names is None else sorted({*schema.get("required", ())} - names):
        meant = did_you_mean(name, names or ())
        yield f"required names {name}, which `properties` does not have{meant}"


def _schema_warnings(schema: dict[str, Any], _: frozenset[str] | None) -> Iterator[str]:
    if schema.get("format", "date") not in keywords.FORMATS:
        hint = did_you_mean(schema["format"], keywords.FORMATS)
        yield f"the format {schema['format']} is unknown and not checked{hint}"
    if "default" in schema:
        yield "default is not applied: the service does not get it; say it in `description`"


_Check = Callable[[dict[str, Any], frozenset[str] | None], Iterator[str]]


def _walk(
    schema: Any,  # noqa: ANN401 - JSON is any
    place: str,
    inherited: frozenset[str] | None,
    document: dict[str, Any],
    check: _Check,
) -> Mistakes:
    """The messages about a schema and all schemas inside it.

    `inherited` are the names of properties of the schemas around it that apply to the same value;
    None if the value may have any name.
    """
    if not isinstance(schema, dict):
        return
    if schema.keys() <= _LEAF:
        # Most schemas hold no others, and this walk takes much of the time of a check.
        yield from ((place, message) for message in check(schema, None))
        return
    own = _names(schema, document, set())
    names = None if own is None or inherited is None else own | inherited
    for message in check(schema, names):
        yield place, message
    for key, child, is_same_value in _children(schema):
        around = names if is_same_value else frozenset()
        yield from _walk(child, f"{place}/{key}", around, document, check)


def _children(schema: dict[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    """The schemas in a schema: key, schema, and whether it applies to the same value."""
    for key, value in schema.items():
        if key not in keywords.PLACES:
            continue
        is_same_value = key in _SAME_VALUE
        if keywords.PLACES[key] == "one":
            yield key, value, is_same_value
        else:
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            for name, child in items:
                yield f"{key}/{name}", child, is_same_value


_SAME_VALUE = frozenset((*_IN_PLACE, *_CONDITIONS, "dependentSchemas"))


_OURS = {"x-order", "x-type", "x-common", "x-sensitive", "x-values"}
_LEAF = (keywords.KEYWORDS.keys() | _OURS) - keywords.PLACES.keys() - {"$ref", "required"}


def _names(
    schema: Any,  # noqa: ANN401
    document: dict[str, Any],
    seen: set[int],
) -> frozenset[str] | None:
    """The properties of a value, from all schemas that apply to it; None if any name is taken."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return frozenset()
    seen.add(id(schema))
    if schema.get("additionalProperties") or schema.get("patternProperties"):
        return None
    names = set(schema.get("properties", ()))
    for part in _same_value(schema, document):
        inner = _names(part, document, seen)
        if inner is None:
            return None
        names |= inner
    return frozenset(names)


def _same_value(schema: dict[str, Any], document: dict[str, Any]) -> Iterator[Any]:
    if "$ref" in schema:
        # Compiling has checked that there is one.
        yield resolve_ref(schema["$ref"], document)
    for _, child, is_same_value in _children(schema):
        if is_same_value:
            yield child
