"""The changes of an answer that break callers: what they read may be missing or of another type."""

from collections.abc import Iterator
from typing import Any

from gateway.registry.schema.shape import types_of


def breakages(before: Any, after: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON is any
    """How the schema of an answer breaks callers, at a dotted path and below it."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return
    name = f"answer's {path}" if path else "answer"
    old, new = set(types_of(before)), set(types_of(after))
    if "number" in old:
        old.add("integer")
    if old and not new <= old:
        yield f"the {name} changes from {_or(old)} to {_or(new)}"
    elif old and not new:
        yield f"the {name} changes from {_or(old)} to any type"
    yield from _properties(before, after, path)
    yield from breakages(before.get("items"), after.get("items"), _join(path, "[]"))


def _properties(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[str]:
    properties = after.get("properties", {})
    for key, schema in before.get("properties", {}).items():
        place = _join(path, key)
        if key not in properties:
            yield f"the answer's {place} is removed"
        elif key in before.get("required", ()) and key not in after.get("required", ()):
            yield f"the answer's {place} may be absent"
        yield from breakages(schema, properties.get(key), place)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _or(types: set[str]) -> str:
    return " or ".join(sorted(types))
