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

from gateway.manifest.params import SCHEMAS
from gateway.manifest.read import YamlPath

_TYPES = {
    "array": "a list",
    "boolean": "true, false",
    "integer": "a whole number",
    "object": "a mapping",
    "string": "text",
}
"""The types of the manifest's schema in the words of YAML."""

KINDS = ("applications", "services", "routes")
"""The sections of a document that map names to entries."""

_EMPTY: dict[str, Any] = {"version": 1, "namespace": "empty", "services": {}, "routes": {}}


def diagnostics(data: Any) -> Iterator[tuple[YamlPath, str]]:  # noqa: ANN401 - a document is any
    """The schema errors of a document: path and message."""
    for error in _validator_class()(_schema()).iter_errors(_without_valid_entries(data)):
        # For a list the error of its invalid item is more precise than `x-allowed`.
        is_precise = _allowed(error) and not isinstance(error.instance, list)
        yield describe(error if is_precise else jsonschema.exceptions.best_match([error]))


def describe(error: jsonschema.ValidationError) -> tuple[YamlPath, str]:
    """The path and the message of one of jsonschema's errors."""
    return _path(error), _message(error)


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
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = orjson.loads((SCHEMAS / "manifest.json").read_bytes())
    return schema


@cache
def _fast_validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(_schema())


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


def _path(error: Any) -> YamlPath:  # noqa: ANN401 - jsonschema's types are loose
    path: YamlPath = tuple(error.absolute_path)
    # jsonschema's path to an invalid name ends before the name.
    return (*path, error.instance) if "propertyNames" in error.absolute_schema_path else path


def _message(error: Any) -> str:  # noqa: ANN401
    if allowed := _allowed(error):
        return f"{error.instance!r} is not allowed; allowed: {allowed}"
    if error.validator == "additionalProperties":
        return _unknown_keys(error.instance, error.schema.get("properties", {}))
    if error.validator == "required":
        return f"the key {error.message.removesuffix(' is a required property')} is missing"
    return str(error.message)


def _allowed(error: Any) -> str | None:  # noqa: ANN401
    """What the violated schema allows, in words; None if only jsonschema's message says it."""
    if isinstance(error.schema, dict) and "x-allowed" in error.schema:
        words: str = error.schema["x-allowed"]
        return words
    if error.validator == "enum":
        return ", ".join(map(str, error.validator_value))
    if error.validator == "const":
        return str(error.validator_value)
    return _TYPES.get(error.validator_value) if error.validator == "type" else None


def _unknown_keys(entry: dict[str, Any], allowed: dict[str, Any]) -> str:
    unknown = [repr(key) for key in entry if key not in allowed]
    noun = "key" if len(unknown) == 1 else "keys"
    return f"unknown {noun} {', '.join(unknown)}; allowed: {', '.join(allowed)}"
