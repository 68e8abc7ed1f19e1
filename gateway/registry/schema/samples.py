"""A value that fits a schema, for an example call: from its examples, otherwise from its types."""

from collections.abc import Collection
from typing import Any

_TEXTS = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "email": "ada@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com/",
}
_CHOICES = ("anyOf", "oneOf")


def sample(schema: Any, without: Collection[str] = ()) -> Any:  # noqa: ANN401 - JSON is any
    """A value that most schemas of this shape accept; an object has its required properties.

    `without` names properties to leave out.
    """
    if not isinstance(schema, dict):
        return "example"
    given = [schema[key] for key in ("const", "default") if key in schema]
    given += [schema[key][0] for key in ("examples", "enum") if schema.get(key)]
    return given[0] if given else _by_type(schema, without)


def _by_type(schema: dict[str, Any], without: Collection[str]) -> Any:  # noqa: ANN401
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kind = kinds if isinstance(kinds, str) else next((k for k in kinds if k != "null"), "null")
    if kind == "object":
        return _object(schema, without)
    if kind == "array":
        return [sample(schema.get("items", {}))] * schema.get("minItems", 0)
    if kind in {"integer", "number"}:
        return schema.get("minimum", 1)
    return {"boolean": True, "null": None}.get(kind, _text(schema))


def _object(schema: dict[str, Any], without: Collection[str]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    required = [*schema.get("required", ())]
    for key in _CHOICES:
        # "One of these must be there": the first of them is.
        first: Any = next(iter(schema.get(key, ())), {})
        required += first.get("required", ()) if isinstance(first, dict) else ()
    names = [name for name in properties if name in required and name not in without]
    return {name: sample(properties[name]) for name in names}


def _text(schema: dict[str, Any]) -> str:
    text = _TEXTS.get(schema.get("format", ""), "example")
    return text.ljust(schema.get("minLength", 0), "-")[: schema.get("maxLength")]
