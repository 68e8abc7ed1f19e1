"""A route's params as a JSON Schema (2020-12), compiled when it is first used and then shared."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import jsonschema_rs
import orjson

from gateway.registry.schema import normal
from gateway.registry.schema.shape import Shape, normalise, shape_of, types_of

INT_MAX = 2**63 - 1

_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_ONES = (
    *("additionalProperties", "items", "contains", "propertyNames", "not", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_INNER = frozenset({*_MAPS, *_LISTS, *_ONES})


class SchemaError(ValueError):
    """A schema that cannot be compiled; the text says why."""


class ParamSchema:
    """The params of a route. Equal texts are one object, so that they compile once."""

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def document(self) -> dict[str, Any]:
        """The whole schema, as it is stored and documented; made each time, for it is large."""
        document: dict[str, Any] = orjson.loads(self.text)
        return document

    @cached_property
    def common(self) -> frozenset[str]:
        """The common params of this route: the pipeline reads them, the service does not."""
        properties = self.document.get("properties", {})
        return frozenset(
            name
            for name, schema in properties.items()
            if isinstance(schema, dict) and schema.get("x-common") is True
        )

    @property
    def has_secrets(self) -> bool:
        """Whether a param of the service's own is `x-sensitive`, at any level."""
        properties = self.document.get("properties", {})
        own = [properties[name] for name in properties if name not in self.common]
        return any(inner.get("x-sensitive") for schema in own for inner in subschemas(schema))

    @cached_property
    def validator(self) -> jsonschema_rs.Draft202012Validator:
        """The compiled schema, without the token: authenticate has judged it already."""
        return compile_schema(_without(self.document, self.common & {"token"}))

    @cached_property
    def shape(self) -> Shape:
        """The same as a tree of types, for what a JSON Schema verdict does not do."""
        return shape_of(self.document)

    @cached_property
    def settled(self) -> jsonschema_rs.Draft4Validator | None:
        """Says whether valid params are what the service is to have, if that can be told so."""
        return normal.verdict(self.shape)

    def normalise(self, values: dict[str, Any], ignored: list[str]) -> dict[str, Any]:
        """Valid params without unknown keys, 12.0 as 12: see `shape.normalise`."""
        if self.settled and self.settled.is_valid(values):
            return values
        walked: dict[str, Any] = normalise(values, self.shape, ignored)
        return walked

    def compile(self) -> None:
        """Compile now. Raises SchemaError."""
        _ = self.validator, self.shape, self.settled


_interned: WeakValueDictionary[str, ParamSchema] = WeakValueDictionary()


def interned(text: str) -> ParamSchema:
    """The one ParamSchema of this text, for as long as some route uses it."""
    return _interned.setdefault(text, ParamSchema(text))


def compile_schema(document: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Compile with a linear-time regex engine and without reading anything outside the document.

    Raises SchemaError, also for a `$ref` that leaves the document.
    """
    _refuse_references_outside(document)
    try:
        return jsonschema_rs.Draft202012Validator(
            _bounded(document),
            validate_formats=True,
            ignore_unknown_formats=True,
            pattern_options=jsonschema_rs.RegexOptions(),
            retriever=_refuse,
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise SchemaError(str(error).partition("\n")[0]) from error


def _refuse_references_outside(document: dict[str, Any]) -> None:
    """Only `#/…` is a reference inside the document for everything that reads a schema here."""
    for schema in subschemas(document):
        ref = schema.get("$ref", "#")
        if not (ref == "#" or ref.startswith("#/")):
            raise SchemaError(f"$ref stays inside the file as #/…, {ref} does not")
        if "$dynamicRef" in schema or ("$id" in schema and schema is not document):
            raise SchemaError("$dynamicRef and an inner $id are not supported: write $ref as #/…")


def _refuse(uri: str) -> NoReturn:
    message = f"$ref stays inside the file, {uri} does not"
    raise SchemaError(message)


def _without(document: dict[str, Any], elsewhere: frozenset[str]) -> dict[str, Any]:
    """The same with some params no longer required; they stay, since a `$ref` may name them."""
    required = [name for name in document.get("required", ()) if name not in elsewhere]
    return {**document, "required": required}


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON is any
    """A schema and all schemas inside it, outermost first; `$ref` is not followed."""
    if not isinstance(schema, dict):
        return
    yield schema
    # Most schemas are leaves, and this is most of the time that a manifest takes to check.
    if _INNER.isdisjoint(schema):
        return
    for key in _MAPS:
        for child in schema.get(key, {}).values():
            yield from subschemas(child)
    for key in _LISTS:
        for child in schema.get(key, ()):
            yield from subschemas(child)
    for key in _ONES:
        yield from subschemas(schema.get(key))


def _bounded(document: dict[str, Any]) -> dict[str, Any]:
    """A copy in which every integer has the bounds that PostgreSQL and JSON parsers share."""
    copy: dict[str, Any] = orjson.loads(orjson.dumps(document))
    for schema in subschemas(copy):
        types = types_of(schema)
        if "integer" in types and "number" not in types:
            schema["minimum"] = max(schema.get("minimum", -INT_MAX), -INT_MAX)
            schema["maximum"] = min(schema.get("maximum", INT_MAX), INT_MAX)
    return copy
