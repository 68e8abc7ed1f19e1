"""Validate a document against `gateway/schemas/manifest.json`, and word its errors.

jsonschema-rs accepts valid entries; jsonschema, a hundred times slower, words the errors of the
others.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import jsonschema_rs
import orjson

from gateway.manifest.records.secret_values import HIDDEN, hidden
from gateway.manifest.rules.params import SCHEMAS
from gateway.manifest.rules.wording import one_of, shown
from gateway.manifest.source.diagnostic import YamlPath
from gateway.runtime.suggest import did_you_mean

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "empty",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}
"""The types of JSON Schema in the words of YAML."""

_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "above {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
    "pattern": "text that matches {}",
    "format": "a valid {}",
}
_SIZES = {
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} keys",
    "maxProperties": "must have at most {} keys",
}
_UNREAD_KEYS = {
    "<<": "merge keys (<<) are not read; use `defaults:`, or write the keys out",
    "x-": "keys that begin with x- are not read here; use `defaults:`, or write the values out",
}

KINDS = ("applications", "services", "routes")
"""The sections of a document that map names to entries."""

_EMPTY: dict[str, Any] = {"version": 1, "namespace": "empty", "services": {}, "routes": {}}


def diagnostics(data: Any) -> Iterator[tuple[YamlPath, str]]:  # noqa: ANN401 - a document is any
    """The schema errors of a document: path and message."""
    for error in _validator_class()(manifest_schema()).iter_errors(_without_valid_entries(data)):
        # For a list the error of its invalid item is more precise than `x-allowed`.
        is_precise = _allowed(error) and not isinstance(error.instance, list)
        best = error if is_precise else jsonschema.exceptions.best_match([error])
        yield from describe(best)


def describe(error: Any) -> Iterator[tuple[YamlPath, str]]:  # noqa: ANN401 - as jsonschema has it
    """What one of jsonschema's errors says: path and message, one for each unknown key."""
    path: YamlPath = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        # jsonschema's path to an invalid name ends before the name.
        path = (*path, error.instance)
        yield path, unread_key(error.instance) or _message(error)
    elif error.validator == "additionalProperties" and error.validator_value is False:
        known = list(error.schema.get("properties", {}))
        for key in error.instance:
            if key not in known:
                yield (*path, key), unknown_key(key, known)
    else:
        yield path, _message(error)


@cache
def _validator_class() -> Any:  # noqa: ANN401 - a class that jsonschema creates
    validator = jsonschema.Draft202012Validator
    return jsonschema.validators.extend(  # type: ignore[no-untyped-call]
        validator, {"pattern": _pattern}
    )


def _pattern(_: Any, pattern: str, text: Any, __: Any) -> Iterator[jsonschema.ValidationError]:  # noqa: ANN401
    # The schema's patterns end with `$`, which in Python also matches before a final newline.
    if isinstance(text, str) and not re.fullmatch(pattern, text):
        yield jsonschema.ValidationError(f"{text!r} does not match {pattern!r}")


@cache
def manifest_schema() -> dict[str, Any]:
    """The schema of one document; `x-allowed` says in words what a value may be."""
    schema: dict[str, Any] = orjson.loads((SCHEMAS / "manifest.json").read_bytes())
    return schema


@cache
def _fast_validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(manifest_schema())


def _without_valid_entries(data: Any) -> Any:  # noqa: ANN401
    """A document without the services and routes that the fast validator accepts."""
    if not isinstance(data, dict):
        return data
    remaining = {
        kind: {
            name: entry for name, entry in data[kind].items() if not is_valid(kind, {name: entry})
        }
        for kind in KINDS
        if isinstance(data.get(kind), dict)
    }
    return {**data, **remaining}


def is_valid(section: str, value: object) -> bool:
    """Whether a section of a document is valid by itself."""
    try:
        return _fast_validator().is_valid({**_EMPTY, section: value})
    except (ValueError, TypeError):
        return False


def unknown_key(key: str, known: list[str]) -> str:
    """The message for a key that a mapping cannot have."""
    if message := unread_key(key):
        return message
    return f"unknown key {key}{did_you_mean(key, known)}; allowed: {', '.join(known)}"


def unread_key(key: object) -> str | None:
    """The message for a key that has a meaning elsewhere, such as `<<`; None for any other key."""
    text = str(key)
    return next((words for start, words in _UNREAD_KEYS.items() if text.startswith(start)), None)


def _message(error: Any) -> str:  # noqa: ANN401
    if error.validator == "required":
        return _missing(error)
    if error.validator in _SIZES and not _allowed(error):
        return _size(error)
    if error.validator == "uniqueItems" and not _allowed(error):
        return "must not have equal items"
    message = f"must be {_allowed(error) or _limit(error)}{_found(error)}"
    is_unquoted = isinstance(error.instance, int | float) and error.validator == "type"
    return f"{message}; put it in quotes" if is_unquoted and _allowed(error) == "text" else message


def _found(error: Any) -> str:  # noqa: ANN401
    """What the manifest has instead; nothing of a secret."""
    field = str(error.absolute_path[-1]) if error.absolute_path else ""
    value = hidden(field, error.instance)
    return "" if value == HIDDEN else f", not {shown(value)}"


def _missing(error: Any) -> str:  # noqa: ANN401
    """The message for a key that is missing, with what the key would take."""
    # Each missing key is an error of its own, which only jsonschema's text tells apart.
    key = next(key for key in error.validator_value if error.message.startswith(repr(key)))
    allowed = in_words(error.schema.get("properties", {}).get(key, {}))
    return f"the key {key} is missing" + (f"; write {allowed}" if allowed else "")


def _size(error: Any) -> str:  # noqa: ANN401
    if error.validator in {"minLength", "minItems"} and error.validator_value == 1:
        return "must not be empty"
    return _SIZES[error.validator].format(error.validator_value)


def _limit(error: Any) -> str:  # noqa: ANN401
    words = _LIMITS.get(error.validator)
    return words.format(error.validator_value) if words else "another value"


def _allowed(error: Any) -> str | None:  # noqa: ANN401
    """What the violated schema allows, in words; None if its keyword says more."""
    if not isinstance(error.schema, dict):
        return None
    if error.validator in {"type", "enum", "const"} or "x-allowed" in error.schema:
        return in_words(error.schema)
    return None


def in_words(schema: dict[str, Any]) -> str:
    """What a schema allows, in words; empty if there are none."""
    if "$ref" in schema:
        schema = _referenced(schema["$ref"])
    if "x-allowed" in schema:
        words: str = schema["x-allowed"]
        return words
    if "const" in schema:
        return shown(schema["const"])
    if "enum" in schema:
        return one_of([str(value) for value in schema["enum"]])
    types = schema.get("type", [])
    return one_of([_TYPES[name] for name in ([types] if isinstance(types, str) else types)])


def _referenced(reference: str) -> dict[str, Any]:
    """A part of the manifest's schema; empty if the reference is to another schema."""
    part: Any = manifest_schema()
    for key in reference.split("/")[1:]:
        part = part.get(key, {})
    found: dict[str, Any] = part
    return found
