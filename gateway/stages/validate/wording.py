"""What is wrong with params, in words for the caller. No value is ever quoted."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from gateway.values import Error, Rejection

MISSING = "missing"
MAX_ERRORS = 100
MAX_ATTR_LENGTH = 200
AND_MORE: Error = {"attr": "", "message": f"and more: only the first {MAX_ERRORS} are listed"}

_TYPES = {
    "integer": "an integer between -(2^63-1) and 2^63-1",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}

_WORDS: dict[str, Callable[[Any], str]] = {
    "type": lambda kind: f"must be {' or '.join(_TYPES[name] for name in sorted(kind.types))}",
    "enum": lambda kind: f"must be one of {', '.join(map(_plain, kind.options))}",
    "const": lambda kind: f"must be {_plain(kind.value)}",
    "minLength": lambda kind: "empty" if kind.limit == 1 else f"is shorter than {kind.limit}",
    "maxLength": lambda kind: f"is longer than {kind.limit} characters",
    "minimum": lambda kind: f"must be at least {kind.limit}",
    "maximum": lambda kind: f"must be at most {kind.limit}",
    "exclusiveMinimum": lambda kind: f"must be more than {kind.limit}",
    "exclusiveMaximum": lambda kind: f"must be less than {kind.limit}",
    "multipleOf": lambda kind: f"must be a multiple of {_plain(kind.value)}",
    "minItems": lambda kind: f"must have at least {kind.limit} items",
    "maxItems": lambda kind: f"must have at most {kind.limit} items",
    "minProperties": lambda kind: f"must have at least {kind.limit} keys",
    "maxProperties": lambda kind: f"must have at most {kind.limit} keys",
    "uniqueItems": lambda _: "must not have an item twice",
    "pattern": lambda _: "has the wrong format",
    "format": lambda kind: f"is not a valid {kind.format}",
    "falseSchema": lambda _: "is not allowed",
}


def _plain(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def entries(found: Iterable[jsonschema_rs.ValidationError]) -> list[Error]:
    """One entry for each fault, in the order found, none twice."""
    unique: dict[tuple[str, str], Error] = {}
    for error in found:
        for entry in _entries(error):
            unique.setdefault((entry["attr"], entry["message"]), entry)
    return list(unique.values())


def bounded(entries: Iterable[Error]) -> list[Error]:
    """The first entries, and a last one that says so where there are more.

    A body of 1 MiB can be wrong in a million places: the answer must not grow with it.
    """
    found = list(islice(entries, MAX_ERRORS + 1))
    return found if len(found) <= MAX_ERRORS else [*found[:MAX_ERRORS], AND_MORE]


def _entries(error: jsonschema_rs.ValidationError) -> Iterator[Error]:
    kind: Any = error.kind
    at = error.instance_path
    if kind.name == "required":
        yield Rejection.error(dotted([*at, kind.property]), MISSING)
    elif kind.name in {"additionalProperties", "unevaluatedProperties"}:
        for name in kind.unexpected:
            yield Rejection.error(dotted([*at, name]), "unrecognized")
    elif kind.name in {"anyOf", "oneOfNotValid", "oneOf"}:
        yield from _choices(kind, at)
    else:
        words = _WORDS.get(kind.name, lambda _: "is invalid")
        yield Rejection.error(dotted(at), words(kind))


def _choices(kind: Any, at: list[str | int]) -> Iterator[Error]:  # noqa: ANN401
    """A choice of required params, of which none was given, is one `missing` for each name."""
    branches = getattr(kind, "context", [])
    faults = [error for branch in branches for error in branch]
    if not all(branches):
        yield Rejection.error(dotted(at), "fits more than one of the forms that exclude each other")
    elif faults and all(error.kind.name == "required" for error in faults):
        yield from entries(faults)
    else:
        yield Rejection.error(dotted(at), "fits none of the forms that are allowed")


def dotted(at: Iterable[str | int]) -> str:
    """A place in the params as callers write it: `order.due_date`, `items.0.sku`."""
    text = ".".join(str(part)[: MAX_ATTR_LENGTH + 1] for part in at)
    return text if len(text) <= MAX_ATTR_LENGTH else f"{text[:MAX_ATTR_LENGTH]}…"
