"""The changes of an answer that break callers: what they read may be missing or of another type."""

from collections.abc import Iterator
from typing import Any

from gateway.registry.schema.shape import types_of


def breakages(before: Any, after: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON is any
    """How a change of an answer's schema breaks callers, at a dotted path and below it.

    `orders[].id` is the path of a key of each item of a list.
    """
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return
    name = f"answer's {path}" if path else "answer"
    old, new = set(types_of(before)), set(types_of(after))
    expected = old | {"integer"} if "number" in old else old
    if old and not (new and new <= expected):
        yield f"the {name} changes from {_or(old)} to {_or(new) or 'any type'}"
    yield from _properties(before, after, path)
    yield from breakages(before.get("items"), after.get("items"), f"{path}[]")


def _properties(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[str]:
    properties = after.get("properties", {})
    for key, schema in before.get("properties", {}).items():
        place = f"{path}.{key}" if path else key
        if key not in properties:
            yield f"the answer's {place} is removed"
        elif key in before.get("required", ()) and key not in after.get("required", ()):
            yield f"the answer's {place} may be absent"
        yield from breakages(schema, properties.get(key), place)


def _or(types: set[str]) -> str:
    return " or ".join(sorted(types))
