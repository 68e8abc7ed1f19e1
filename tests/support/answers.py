"""What a schema of an answer says beside JSON Schema: the order of keys."""

from typing import Any


def in_order(value: Any, schema: dict[str, Any]) -> bool:
    """Whether all keys of a value stand in the order of the schema."""
    if isinstance(value, list):
        return all(in_order(item, schema["items"]) for item in value)
    if not isinstance(value, dict):
        return True
    properties = schema["properties"]
    return [*value] == [key for key in properties if key in value] and all(
        in_order(value[key], properties[key]) for key in value
    )
