"""Messages for invalid params, written for the caller. None of them quotes a value."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from gateway.registry.schema import INT_MAX, ParamSchema, may_be_shown
from gateway.values import Error, Rejection

MISSING = "missing"
MAX_ERRORS = 100
MAX_ATTR_LENGTH = 200
HIDDEN = "…"
"""Stands for a part of `attr` that the caller made up and that may not be a name."""

AND_MORE: Error = {
    "attr": "",
    "message": f"there are more errors; only the first {MAX_ERRORS} are listed",
}

_LONG_INTEGER = re.compile(r"-?[0-9]{20,}", re.ASCII)

_TYPES = {
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}

_FORMATS = {
    "date": "date (YYYY-MM-DD)",
    "time": "time (such as 08:00:00Z)",
    "date-time": "date and time (such as 2026-11-28T08:00:00Z)",
    "duration": "duration (such as PT1H30M)",
    "email": "e-mail address",
    "idn-email": "e-mail address",
    "hostname": "host name",
    "idn-hostname": "host name",
    "ipv4": "IPv4 address",
    "ipv6": "IPv6 address",
    "uri": "URI",
    "uuid": "UUID",
    "regex": "regular expression",
}

_MESSAGES: dict[str, Callable[[Any], str]] = {
    "type": lambda kind: _types(kind.types),
    "enum": lambda kind: one_of(map(_text, kind.options)),
    "const": lambda kind: f"must be {_text(kind.value)}",
    "minLength": lambda kind: "empty" if kind.limit == 1 else _at_least(kind.limit, "character"),
    "maxLength": lambda kind: _at_most(kind.limit, "character"),
    "minimum": lambda kind: _within(kind.limit, "at least"),
    "maximum": lambda kind: _within(kind.limit, "at most"),
    "exclusiveMinimum": lambda kind: f"must be greater than {kind.limit}",
    "exclusiveMaximum": lambda kind: f"must be less than {kind.limit}",
    "multipleOf": lambda kind: f"must be a multiple of {_text(kind.value)}",
    "minItems": lambda kind: _at_least(kind.limit, "item"),
    "maxItems": lambda kind: _at_most(kind.limit, "item"),
    "minProperties": lambda kind: _at_least(kind.limit, "key"),
    "maxProperties": lambda kind: _at_most(kind.limit, "key"),
    "uniqueItems": lambda _: "must not contain an item twice",
    "pattern": lambda kind: f"must match the pattern {kind.pattern}",
    "format": lambda kind: f"is not a valid {_FORMATS.get(kind.format, kind.format)}",
    "falseSchema": lambda _: "is not allowed",
}


def one_of(options: Iterable[str]) -> str:
    """The message for a value that is not an option; "1" and 1 are listed once."""
    distinct = list(dict.fromkeys(options))
    return (
        f"must be {distinct[0]}" if len(distinct) == 1 else f"must be one of {', '.join(distinct)}"
    )


def _types(types: Iterable[str]) -> str:
    """The message for a value of another type; each number is one for which `number` is allowed."""
    names = sorted(types)
    if "number" in names and "integer" in names:
        names.remove("integer")
    return f"must be {' or '.join(_TYPES[name] for name in names)}"


def _within(limit: Any, words: str) -> str:  # noqa: ANN401 - a number
    """The message for a number that is too small or too large, also for 64 bits."""
    return _range() if abs(limit) == INT_MAX else f"must be {words} {limit}"


def _range(_: object = None) -> str:
    return "must be an integer between -(2^63-1) and 2^63-1"


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _at_least(limit: int, noun: str) -> str:
    return f"must have at least {limit} {noun}{'' if limit == 1 else 's'}"


def _at_most(limit: int, noun: str) -> str:
    return f"must have at most {limit} {noun}{'' if limit == 1 else 's'}"


def entries(errors: Iterable[jsonschema_rs.ValidationError], schema: ParamSchema) -> list[Error]:
    """The entries of all errors, in their order, none twice.

    A param whose options are listed has no other entry: they say everything.
    """
    unique: dict[tuple[str, str], Error] = {}
    with_options: dict[str, str] = {}
    for error in errors:
        for entry in _entries(error, schema):
            unique.setdefault((entry["attr"], entry["message"]), entry)
            if error.kind.name in {"enum", "const"}:
                with_options[entry["attr"]] = entry["message"]
    return [
        entry
        for (attr, message), entry in unique.items()
        if with_options.get(attr, message) == message
    ]


def first(entries: Iterable[Error]) -> list[Error]:
    """The first `MAX_ERRORS` entries, and `AND_MORE` if there are more.

    A body of 1 MiB can have a million errors: the answer must not grow with it.
    """
    taken = list(islice(entries, MAX_ERRORS + 1))
    return taken if len(taken) <= MAX_ERRORS else [*taken[:MAX_ERRORS], AND_MORE]


def _entries(error: jsonschema_rs.ValidationError, schema: ParamSchema) -> Iterator[Error]:
    kind: Any = error.kind
    path = error.instance_path
    if kind.name == "required":
        yield Rejection.error(dotted([*path, kind.property], schema), MISSING)
    elif kind.name in {"additionalProperties", "unevaluatedProperties"}:
        for name in kind.unexpected:
            yield Rejection.error(dotted([*path, name], schema), "unrecognized")
    elif kind.name in {"anyOf", "oneOfNotValid", "oneOf"}:
        yield from _choice_entries(error, schema)
    else:
        yield Rejection.error(dotted(path, schema), _message(error, schema))


def _message(error: jsonschema_rs.ValidationError, schema: ParamSchema) -> str:
    kind: Any = error.kind
    usual = _MESSAGES.get(kind.name, lambda _: "is invalid")
    is_integer = kind.name == "type" and [*kind.types] == ["integer"]
    if is_integer and isinstance(error.instance, str) and _LONG_INTEGER.fullmatch(error.instance):
        # Text of a form or query is left as it is if no integer can hold it.
        usual = _range
    return schema.message(error.schema_path) or usual(kind)


def _choice_entries(error: jsonschema_rs.ValidationError, schema: ParamSchema) -> Iterator[Error]:
    """The entries of `anyOf` and `oneOf`: a `missing` for each name if only params are missing."""
    branches = getattr(error.kind, "context", [])
    errors = [error for branch in branches for error in branch]
    if errors and all(branches) and all(error.kind.name == "required" for error in errors):
        yield from entries(errors, schema)
        return
    form = "must match one of the allowed forms"
    if not all(branches):
        form = "must match exactly one of the allowed forms, not several"
    message = schema.message(error.schema_path) or form
    yield Rejection.error(dotted(error.instance_path, schema), message)


def dotted(path: Iterable[str | int], schema: ParamSchema) -> str:
    """A path in the params as callers write it: `order.due_date`, `items.0.sku`."""
    text = ".".join(_visible(str(part), schema) for part in path)
    return text if len(text) <= MAX_ATTR_LENGTH else f"{text[:MAX_ATTR_LENGTH]}…"


def _visible(part: str, schema: ParamSchema) -> str:
    return part if may_be_shown(part) or part in schema.property_names else HIDDEN
