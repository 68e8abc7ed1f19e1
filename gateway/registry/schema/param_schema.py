"""A route's params as a JSON Schema (2020-12), compiled at its first use and then shared."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import jsonschema_rs
import orjson

from gateway.registry.schema import normal
from gateway.registry.schema.absent import empty_is_absent
from gateway.registry.schema.shape import Shape, normalise, shape_of, types_of

INT_MAX = 2**63 - 1

MESSAGE = "x-message"
"""The keyword with the message for values that the schema refuses, instead of the usual one."""

_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_ONES = (
    *("additionalProperties", "items", "contains", "propertyNames", "not", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_INNER = frozenset({*_MAPS, *_LISTS, *_ONES})


class SchemaError(ValueError):
    """A schema that cannot be compiled; the text is the reason."""


class ParamSchema:
    """The schema of a route's params. Get it from `interned`: equal texts then compile once."""

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def document(self) -> dict[str, Any]:
        """The schema as it is stored and documented; parsed each time, to save its memory."""
        document: dict[str, Any] = orjson.loads(self.text)
        return document

    @cached_property
    def common(self) -> frozenset[str]:
        """Names of the common params, which the pipeline reads and the service does not get."""
        properties = self.document.get("properties", {})
        return frozenset(
            name
            for name, schema in properties.items()
            if isinstance(schema, dict) and schema.get("x-common") is True
        )

    @property
    def has_secrets(self) -> bool:
        """Whether a param other than the common ones is `x-sensitive`, at any level."""
        properties = self.document.get("properties", {})
        own = [properties[name] for name in properties if name not in self.common]
        return any(inner.get("x-sensitive") for schema in own for inner in subschemas(schema))

    @cached_property
    def property_names(self) -> frozenset[str]:
        """The names of all properties at every level; an answer may repeat them."""
        levels = (schema.get("properties", {}) for schema in subschemas(self.document))
        return frozenset(name for properties in levels for name in properties)

    def message(self, keyword_path: Sequence[str | int]) -> str | None:
        """The `x-message` of the schema whose keyword refused a value, if it has one."""
        if f'"{MESSAGE}"' not in self.text:
            return None
        schema: Any = self.document
        for part in keyword_path[:-1]:
            schema = schema[part]
        return schema.get(MESSAGE) if isinstance(schema, dict) else None

    @cached_property
    def validator(self) -> jsonschema_rs.Draft202012Validator:
        """The compiled schema; it does not require the token, which authenticate has checked."""
        return compile_schema(_not_requiring(self.document, self.common & {"token"}))

    @cached_property
    def shape(self) -> Shape:
        """The schema as a tree of types, for converting values."""
        return shape_of(self.document)

    @cached_property
    def normal_validator(self) -> jsonschema_rs.Draft4Validator | None:
        """Accepts params that `normalise` would leave as they are; None for some schemas."""
        return normal.compile_validator(self.shape)

    def normalise(self, values: dict[str, Any], ignored: list[str]) -> dict[str, Any]:
        """Valid params without unknown keys, 12.0 as 12: see `shape.normalise`."""
        if self.normal_validator and self.normal_validator.is_valid(values):
            return values
        normalised: dict[str, Any] = normalise(values, self.shape, ignored)
        return normalised

    def compile(self) -> None:
        """Compile now instead of at the first use. Raises SchemaError."""
        _ = self.validator, self.shape, self.normal_validator


_interned: WeakValueDictionary[str, ParamSchema] = WeakValueDictionary()


def interned(text: str) -> ParamSchema:
    """The one ParamSchema of this text; it is freed with the last route that uses it."""
    return _interned.setdefault(text, ParamSchema(text))


def compile_schema(document: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Compile a schema, with a linear-time regex engine and without any other document.

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
    """Allow `#/…` only: the rest of this project resolves no other form. Raises SchemaError."""
    for schema in subschemas(document):
        ref = schema.get("$ref", "#")
        if not (ref == "#" or ref.startswith("#/")):
            raise SchemaError(f"$ref must point inside the file, as #/…, not to {ref}")
        if "$dynamicRef" in schema or ("$id" in schema and schema is not document):
            raise SchemaError("$dynamicRef and an inner $id are not supported; use $ref with #/…")


def _refuse(uri: str) -> NoReturn:
    message = f"$ref must point inside the file, not to {uri}"
    raise SchemaError(message)


def _not_requiring(document: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """A copy that does not require these params; it keeps them, since a `$ref` may name them."""
    required = [name for name in document.get("required", ()) if name not in names]
    return {**document, "required": required}


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON is any
    """A schema and all schemas inside it, outermost first, without following `$ref`."""
    if not isinstance(schema, dict):
        return
    yield schema
    # Most schemas are leaves, and this walk is most of the time of checking a manifest.
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
    """A copy in which integers have 64-bit bounds, which PostgreSQL and JSON parsers share.

    It refuses empty text that means absent: only refused params are searched for absent values.
    """
    copy: dict[str, Any] = orjson.loads(orjson.dumps(document))
    for schema in subschemas(copy):
        if empty_is_absent(schema):
            schema["minLength"] = max(schema.get("minLength", 1), 1)
        types = types_of(schema)
        if "integer" in types and "number" not in types:
            schema["minimum"] = max(schema.get("minimum", -INT_MAX), -INT_MAX)
            schema["maximum"] = min(schema.get("maximum", INT_MAX), INT_MAX)
    return copy
