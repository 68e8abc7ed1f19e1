"""The form of a document: what it is against `gateway/schemas/manifest.json`, and in which words.

jsonschema-rs passes what is well-formed; jsonschema, a hundred times as slow, words what is not.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import jsonschema_rs
import orjson

from gateway.manifest.params import SCHEMAS
from gateway.manifest.read import Place

_EMPTY: dict[str, Any] = {"version": 1, "namespace": "empty", "services": {}, "routes": {}}


def diagnostics(data: Any) -> Iterator[tuple[Place, str]]:  # noqa: ANN401 - a document is any
    """The faults of a document: place and words."""
    for error in _wording()(_schema()).iter_errors(_doubtful(data)):
        best = error if _says_what_is_allowed(error) else jsonschema.exceptions.best_match([error])
        yield _place(best), _words(best)


@cache
def _wording() -> Any:  # noqa: ANN401 - a class that jsonschema makes
    validator = jsonschema.Draft202012Validator
    return jsonschema.validators.extend(  # type: ignore[no-untyped-call]
        validator, {"pattern": _pattern}
    )


def _pattern(_: Any, pattern: str, text: Any, __: Any) -> Iterator[jsonschema.ValidationError]:  # noqa: ANN401
    # All patterns of the manifest's schema go to the end of the text, which to Python's `$` may
    # be followed by a line's end.
    if isinstance(text, str) and not re.fullmatch(pattern, text):
        yield jsonschema.ValidationError(f"{text!r} does not match {pattern!r}")


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = orjson.loads((SCHEMAS / "manifest.json").read_bytes())
    return schema


@cache
def _quick() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(_schema())


def _doubtful(data: Any) -> Any:  # noqa: ANN401
    """A document without the services and routes that are surely well-formed."""
    if not isinstance(data, dict):
        return data
    less = {
        kind: {name: each for name, each in data[kind].items() if not _is_sure(kind, name, each)}
        for kind in ("services", "routes")
        if isinstance(data.get(kind), dict)
    }
    return {**data, **less}


def _is_sure(kind: str, name: str, entry: object) -> bool:
    try:
        return _quick().is_valid({**_EMPTY, kind: {name: entry}})
    except (ValueError, TypeError):
        return False


def _says_what_is_allowed(error: Any) -> bool:  # noqa: ANN401 - jsonschema's types are loose
    # Of a list the faulty item says more.
    known = isinstance(error.schema, dict) and "x-allowed" in error.schema
    return known and not isinstance(error.instance, list)


def _place(error: Any) -> Place:  # noqa: ANN401
    place: Place = tuple(error.absolute_path)
    # A name that is refused is no value, so that the path ends before it.
    return (*place, error.instance) if "propertyNames" in error.absolute_schema_path else place


def _words(error: Any) -> str:  # noqa: ANN401
    if _says_what_is_allowed(error):
        return f"{error.instance!r} is not allowed; allowed: {error.schema['x-allowed']}"
    if error.validator == "additionalProperties":
        allowed = ", ".join(error.schema.get("properties", {}))
        return f"{error.message}; allowed: {allowed}"
    if error.validator == "enum":
        allowed = ", ".join(map(str, error.validator_value))
        return f"{error.instance!r} is not allowed; allowed: {allowed}"
    return str(error.message)
