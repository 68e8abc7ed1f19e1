"""The JSON Schema of a route as an OpenAPI document has it.

OpenAPI 3.1 takes JSON Schema as it is; this drops the gateway's own notes, and rewrites what the
generators of clients do not understand.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from gateway.pages.documentation.examples import APPLICATIONS
from gateway.registry.schema import subschemas
from gateway.registry.schema.shape import types_of

_DROPPED = ("x-common", "x-joined", "x-values", "x-omit", "$schema", "$id")

_CHOICES = ("allOf", "anyOf", "oneOf")


def clean(document: dict[str, Any], slugs: Sequence[str] = ()) -> dict[str, Any]:
    """The schema, changed in place: with the applications as values, without internal keywords.

    `slugs` are the applications that a caller may name.
    """
    for schema in subschemas(document):
        if schema.get("x-values") == APPLICATIONS and slugs:
            schema["enum"] = list(slugs)
        for keyword in _DROPPED:
            schema.pop(keyword, None)
        _split_enum(schema)
        if "array" in types_of(schema):
            # Some generators drop every schema that contains a list without `items`.
            schema.setdefault("items", {})
    return document


def _split_enum(schema: dict[str, Any]) -> None:
    """Turn an enum of several types into an `anyOf` of enums of one type each."""
    branches = list(_enums(schema))
    if len(branches) > 1:
        del schema["enum"]
        schema.pop("type", None)
        if "anyOf" in schema:
            schema["allOf"] = [*schema.get("allOf", ()), {"anyOf": branches}]
        else:
            schema["anyOf"] = branches


def _enums(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The values of an enum, grouped by their types; without those that `type` excludes."""
    by_type: dict[str, list[Any]] = {}
    for value in schema.get("enum", ()):
        by_type.setdefault(_json_type(value), []).append(value)
    allowed = types_of(schema)
    for name, values in by_type.items():
        if not allowed or name in allowed or (name == "integer" and "number" in allowed):
            yield {"type": name, "enum": values}


def _json_type(value: Any) -> str:  # noqa: ANN401 - JSON is any
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return "null" if value is None else names.get(type(value), "object")


def without(
    document: dict[str, Any], removed: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """A copy without some properties, which requires neither them nor the `optional` ones.

    A property to which another schema refers stays, optional.
    """
    unused = {name for name in removed if not _is_referred_to(document, name)}
    properties = document.get("properties", {})
    kept = {name: schema for name, schema in properties.items() if name not in unused}
    names = {*removed, *optional}
    choices = {
        key: [_not_requiring(branch, names) for branch in document[key]]
        for key in _CHOICES
        if key in document
    }
    copy: dict[str, Any] = _not_requiring({**document, **choices, "properties": kept}, names)
    return copy


def choice_as_not(document: dict[str, Any]) -> dict[str, Any]:
    """A copy that says "one of these params is required" with `not` instead of `anyOf`.

    From an `anyOf`, some generators make a body without types; all of them ignore a `not`.
    """
    branches = document.get("anyOf", [])
    names_only = all(
        isinstance(branch, dict) and set(branch) == {"required"} for branch in branches
    )
    if not branches or not names_only or "not" in document:
        return document
    rest = {key: value for key, value in document.items() if key != "anyOf"}
    return {**rest, "not": {"allOf": [{"not": branch} for branch in branches]}}


def _is_referred_to(document: dict[str, Any], name: str) -> bool:
    target = f"#/properties/{name}"
    refs = [schema.get("$ref", "") for schema in subschemas(document)]
    return any(ref == "#" or f"{ref}/".startswith(f"{target}/") for ref in refs)


def _not_requiring(schema: Any, names: Collection[str]) -> Any:  # noqa: ANN401 - JSON is any
    """A copy whose own `required` lacks some names."""
    if not (isinstance(schema, dict) and "required" in schema):
        return schema
    required = [name for name in schema["required"] if name not in names]
    if required:
        return {**schema, "required": required}
    return {key: value for key, value in schema.items() if key != "required"}
