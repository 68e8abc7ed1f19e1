"""Messages for invalid params, written for the caller. None of them quotes a value."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from gateway.values import Error, Rejection

MISSING = "missing"
MAX_ERRORS = 100
MAX_ATTR_LENGTH = 200
AND_MORE: Error = {
    "attr": "",
    "message": f"there are more errors; only the first {MAX_ERRORS} are listed",
}

_TYPES = {
    "integer": "an integer between -(2^63-1) and 2^63-1",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}

_MESSAGES: dict[str, Callable[[Any], str]] = {
    "type": lambda kind: f"must be {' or '.join(_TYPES[name] for name in sorted(kind.types))}",
    "enum": lambda kind: one_of(map(_text, kind.options)),
    "const": lambda kind: f"must be {_text(kind.value)}",
    "minLength": lambda kind: "empty" if kind.limit == 1 else _at_least(kind.limit, "character"),
    "maxLength": lambda kind: _at_most(kind.limit, "character"),
    "minimum": lambda kind: f"must be at least {kind.limit}",
    "maximum": lambda kind: f"must be at most {kind.limit}",
    "exclusiveMinimum": lambda kind: f"must be greater than {kind.limit}",
    "exclusiveMaximum": lambda kind: f"must be less than {kind.limit}",
    "multipleOf": lambda kind: f"must be a multiple of {_text(kind.value)}",
    "minItems": lambda kind: _at_least(kind.limit, "item"),
    "maxItems": lambda kind: _at_most(kind.limit, "item"),
    "minProperties": lambda kind: _at_least(kind.limit, "key"),
    "maxProperties": lambda kind: _at_most(kind.limit, "key"),
    "uniqueItems": lambda _: "must not contain an item twice",
    "pattern": lambda kind: f"must match the pattern {kind.pattern}",
    "format": lambda kind: f"is not a valid {kind.format}",
    "falseSchema": lambda _: "is not allowed",
}


def one_of(options: Iterable[str]) -> str:
    """The message for a value that is not an option; "1" and 1 are listed once."""
    distinct = list(dict.fromkeys(options))
    return (
        f"must be {distinct[0]}" if len(distinct) == 1 else f"must be one of {', '.join(distinct)}"
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _at_least(limit: int, noun: str) -> str:
    return f"must have at least {limit} {noun}{'' if limit == 1 else 's'}"


def _at_most(limit: int, noun: str) -> str:
    return f"must have at most {limit} {noun}{'' if limit == 1 else 's'}"


def entries(errors: Iterable[jsonschema_rs.ValidationError]) -> list[Error]:
    """One entry for each error, in their order, none twice."""
    unique: dict[tuple[str, str], Error] = {}
    for error in errors:
        for entry in _entries(error):
            unique.setdefault((entry["attr"], entry["message"]), entry)
    return list(unique.values())


def first(entries: Iterable[Error]) -> list[Error]:
    """The first `MAX_ERRORS` entries, and `AND_MORE` if there are more.

    A body of 1 MiB can have a million errors: the answer must not grow with it.
    """
    taken = list(islice(entries, MAX_ERRORS + 1))
    return taken if len(taken) <= MAX_ERRORS else [*taken[:MAX_ERRORS], AND_MORE]


def _entries(error: jsonschema_rs.ValidationError) -> Iterator[Error]:
    kind: Any = error.kind
    path = error.instance_path
    if kind.name == "required":
        yield Rejection.error(dotted([*path, kind.property]), MISSING)
    elif kind.name in {"additionalProperties", "unevaluatedProperties"}:
        for name in kind.unexpected:
            yield Rejection.error(dotted([*path, name]), "unrecognized")
    elif kind.name in {"anyOf", "oneOfNotValid", "oneOf"}:
        yield from _choice_entries(kind, path)
    else:
        message = _MESSAGES.get(kind.name, lambda _: "is invalid")
        yield Rejection.error(dotted(path), message(kind))


def _choice_entries(kind: Any, path: list[str | int]) -> Iterator[Error]:  # noqa: ANN401
    """The entries of `anyOf` and `oneOf`: a `missing` for each name if only params are missing."""
    branches = getattr(kind, "context", [])
    errors = [error for branch in branches for error in branch]
    if not all(branches):
        yield Rejection.error(dotted(path), "matches several of the allowed forms, must match one")
    elif errors and all(error.kind.name == "required" for error in errors):
        yield from entries(errors)
    else:
        yield Rejection.error(dotted(path), "must match one of the allowed forms")


def dotted(path: Iterable[str | int]) -> str:
    """A path in the params as callers write it: `order.due_date`, `items.0.sku`."""
    text = ".".join(str(part)[: MAX_ATTR_LENGTH + 1] for part in path)
    return text if len(text) <= MAX_ATTR_LENGTH else f"{text[:MAX_ATTR_LENGTH]}…"
