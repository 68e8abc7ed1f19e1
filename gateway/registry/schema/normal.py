"""Whether there is anything to settle, as a verdict: it costs a tenth of a walk through the value.

The verdict is of JSON Schema's draft 4, to which 12.0 is no integer. Later drafts say it is.
"""

from typing import Any

import jsonschema_rs

from gateway.registry.schema.shape import Shape

MAX_SHAPES = 1000
"""Shapes in one verdict; a schema whose branches share many parts would have more without end."""


_NO_FRACTION = ["array", "boolean", "integer", "null", "object", "string"]


class _TooManyError(Exception):
    """A shape that is inside itself, or has too many inside."""


def verdict(shape: Shape) -> jsonschema_rs.Draft4Validator | None:
    """A validator of values that `normalise` would leave as they are; None for a recursive shape.

    It may err to one side alone: what it calls settled has nothing that `normalise` would change.
    """
    try:
        return jsonschema_rs.Draft4Validator(_Writer().schema(shape))
    except _TooManyError:
        return None


class _Writer:
    """Writes shapes as schemas that refuse whatever would be changed."""

    def __init__(self) -> None:
        self._left = MAX_SHAPES
        self._inside: set[int] = set()

    def schema(self, shape: Shape) -> dict[str, Any]:
        """Of one shape. Raises _TooManyError."""
        self._left -= 1
        if id(shape) in self._inside or self._left < 0:
            raise _TooManyError
        self._inside.add(id(shape))
        written = self._written(shape)
        self._inside.discard(id(shape))
        return written

    def _written(self, shape: Shape) -> dict[str, Any]:
        written: dict[str, Any] = {}
        if shape.is_whole:
            written["type"] = _NO_FRACTION
        if not shape.holds_something:
            return written
        written["properties"] = {
            name: self.schema(inner) for name, inner in shape.properties.items()
        }
        written["additionalProperties"] = shape.open and self._other(shape.rest)
        if shape.first:
            written["items"] = [self.schema(inner) for inner in shape.first]
            written["additionalItems"] = self._other(shape.items)
        elif shape.items:
            written["items"] = self.schema(shape.items)
        return written

    def _other(self, shape: Shape | None) -> dict[str, Any]:
        return self.schema(shape) if shape else {}
