"""Which changes of an answer break callers: each breakage is named, and no harmless change is."""

from typing import Any

import pytest

from gateway.manifest.records.breaking_returns import breakages


def answer(schema: Any, *, required: bool = True) -> dict[str, Any]:
    """The schema of an answer with the key `a`."""
    return {"type": "object", "properties": {"a": schema}, "required": ["a"] if required else []}


TEXT: dict[str, Any] = {"type": "string"}
TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}
INTEGER: dict[str, Any] = {"type": "integer"}
NUMBER: dict[str, Any] = {"type": "number"}


def items(schema: Any) -> dict[str, Any]:
    return {"type": "array", "items": schema}


BREAKING: dict[str, tuple[Any, Any, list[str]]] = {
    "a key is removed": (answer(TEXT), {"type": "object"}, ["the answer's a is removed"]),
    "an optional key is removed": (
        answer(TEXT, required=False),
        {"type": "object"},
        ["the answer's a is removed"],
    ),
    "a key may be absent": (
        answer(TEXT),
        answer(TEXT, required=False),
        ["the answer's a may be absent"],
    ),
    "another type": (
        answer(TEXT),
        answer(INTEGER),
        ["the answer's a changes from string to integer"],
    ),
    "a value may be null": (
        answer(TEXT),
        answer(TEXT_OR_NULL),
        ["the answer's a changes from string to null or string"],
    ),
    "an integer may have a fraction": (
        answer(INTEGER),
        answer(NUMBER),
        ["the answer's a changes from integer to number"],
    ),
    "a number may be text": (
        answer(NUMBER),
        answer({"type": ["integer", "string"]}),
        ["the answer's a changes from number to integer or string"],
    ),
    "any type": (answer(TEXT), answer({}), ["the answer's a changes from string to any type"]),
    "the whole answer": (
        {"type": "object"},
        {"type": "array"},
        ["the answer changes from object to array"],
    ),
    "a nested key": (
        answer(answer(TEXT)),
        answer(answer(INTEGER, required=False)),
        ["the answer's a.a may be absent", "the answer's a.a changes from string to integer"],
    ),
    "a key of items": (
        answer(items(answer(TEXT))),
        answer(items({"type": "object"})),
        ["the answer's a[].a is removed"],
    ),
    "items of another type": (
        items(TEXT),
        items(INTEGER),
        ["the answer's [] changes from string to integer"],
    ),
}


@pytest.mark.parametrize(("before", "after", "expected"), BREAKING.values(), ids=BREAKING)
def test_change_of_an_answer_breaks_callers(before: Any, after: Any, expected: list[str]) -> None:
    assert list(breakages(before, after)) == expected
    assert not list(breakages(before, before))


HARMLESS: dict[str, tuple[Any, Any]] = {
    "a new key": ({"type": "object"}, answer(TEXT)),
    "a key is always there": (answer(TEXT, required=False), answer(TEXT)),
    "a value is never null": (answer(TEXT_OR_NULL), answer(TEXT)),
    "a number is an integer": (answer(NUMBER), answer(INTEGER)),
    "a type becomes known": (answer({}), answer(TEXT)),
    "other words": (answer(TEXT), answer({**TEXT, "description": "Another."})),
    "an example": (answer(TEXT), {**answer(TEXT), "examples": [{"a": "x"}]}),
    "items become known": ({"type": "array"}, items(TEXT)),
}


@pytest.mark.parametrize(("before", "after"), HARMLESS.values(), ids=HARMLESS)
def test_change_of_an_answer_is_harmless(before: Any, after: Any) -> None:
    assert not list(breakages(before, after))
